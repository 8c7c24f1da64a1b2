"""Frames that are sent and received with every message, encoded and decoded without intermediate objects."""

from collections.abc import Iterator
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING

from pamqp import decode
from pamqp.common import FieldTable

from asynctasq.records import record

if TYPE_CHECKING:
    from asynctasq_rabbitmq.wire.channel import Channel

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
END = 0xCE
END_BYTE = b"\xce"
HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"

DELIVER, RETURN, ACK, NACK = 60 << 16 | 60, 60 << 16 | 50, 60 << 16 | 80, 60 << 16 | 120
"""Numbers of the methods that are decoded here: the class and the method."""

HEAD = Struct(">BHI")
"""The beginning of a frame: its type, its channel, and the bytes of its payload."""
OVERHEAD = HEAD.size + 1
NUMBER = Struct(">I")
SETTLED = Struct(">QB")
"""Payload of a confirm behind its number: the tag, and whether earlier tags are included."""
CONTENT = Struct(">HHQ")
"""Payload of a content header before its properties: the class, a zero, and the bytes of the body."""

_ACK = Struct(">BHIHHQBB")
_PUBLISH = Struct(">HHH")
_DELIVERY = Struct(">QB")
_MANDATORY = 1
_HEADERS = 1 << 13
_BEFORE_HEADERS = (1 << 15, 1 << 14)
_MESSAGE_ID = 1 << 7
_SHORT_TEXTS = ((1 << 10), (1 << 9), (1 << 8))


@record
class Outgoing:
    """A message to publish."""

    exchange: str
    key: str
    properties: bytes
    """Flags and values of the properties, as in a content header."""
    body: bytes
    message_id: bytes
    """The text of the property, by which the broker's return is recognized."""


@record
class Incoming:
    """A message that the broker has pushed to a consumer."""

    channel: "Channel"
    tag: int
    redelivered: bool
    key: str
    """The routing key."""
    properties: bytes
    body: bytes

    def headers(self) -> FieldTable:
        """Return the headers of the message."""
        return headers_of(self.properties)


def ack_frame(channel: int, tag: int, *, multiple: bool) -> bytes:
    """Return the frame that acknowledges one tag, or all up to it."""
    return _ACK.pack(METHOD, channel, 13, 60, 80, tag, multiple, END)


def publish_frames(channel: int, message: Outgoing, frame_max: int) -> Iterator[bytes]:
    """Return the frames that publish a message, in pieces."""
    body = message.body
    yield _publish_method(channel, message.exchange, message.key)
    yield HEAD.pack(HEADER, channel, CONTENT.size + len(message.properties))
    yield CONTENT.pack(60, 0, len(body))
    yield message.properties
    yield END_BYTE
    most = frame_max - OVERHEAD
    for start in range(0, len(body), most):
        piece = body if len(body) <= most else body[start : start + most]
        yield HEAD.pack(BODY, channel, len(piece))
        yield piece
        yield END_BYTE


@lru_cache(1024)
def _publish_method(channel: int, exchange: str, key: str) -> bytes:
    place, route = exchange.encode(), key.encode()
    payload = b"".join(
        (
            _PUBLISH.pack(60, 40, 0),
            bytes((len(place),)), place,
            bytes((len(route),)), route,
            bytes((_MANDATORY,)),
        )
    )  # fmt: skip
    return HEAD.pack(METHOD, channel, len(payload)) + payload + END_BYTE


def read_delivery(payload: bytes) -> tuple[bytes, int, bool, str]:
    """Return consumer tag, delivery tag, whether it is a redelivery, and the routing key."""
    end = 5 + payload[4]
    consumer = payload[5:end]
    tag, redelivered = _DELIVERY.unpack_from(payload, end)
    end += _DELIVERY.size
    end += 1 + payload[end]
    size = payload[end]
    return consumer, tag, bool(redelivered), payload[end + 1 : end + 1 + size].decode()


def headers_of(properties: bytes) -> FieldTable:
    """Return the headers in the properties of a message; none if it has none."""
    flags = int.from_bytes(properties[:2], "big")
    if not flags & _HEADERS:
        return {}
    return decode.field_table(properties[_headers_at(properties, flags) :])[1]


def message_id_of(properties: bytes) -> bytes:
    """Return the text of the property `message_id`; empty if there is none."""
    flags = int.from_bytes(properties[:2], "big")
    if not flags & _MESSAGE_ID:
        return b""
    place = _headers_at(properties, flags)
    if flags & _HEADERS:
        place += 4 + NUMBER.unpack_from(properties, place)[0]
    place += bool(flags & 1 << 12) + bool(flags & 1 << 11)  # delivery mode and priority
    for text in _SHORT_TEXTS:
        if flags & text:
            place += 1 + properties[place]
    return properties[place + 1 : place + 1 + properties[place]]


def priority_of(properties: bytes) -> int:
    """Return the property `priority`; 0 if there is none."""
    flags = int.from_bytes(properties[:2], "big")
    if not flags & 1 << 11:
        return 0
    place = _headers_at(properties, flags)
    if flags & _HEADERS:
        place += 4 + NUMBER.unpack_from(properties, place)[0]
    return properties[place + bool(flags & 1 << 12)]


def _headers_at(properties: bytes, flags: int) -> int:
    place = 2
    for text in _BEFORE_HEADERS:
        if flags & text:
            place += 1 + properties[place]
    return place
