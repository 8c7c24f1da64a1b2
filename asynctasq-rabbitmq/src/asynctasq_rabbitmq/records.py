"""Messages as the bodies and properties of AMQP messages."""

import time
from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from typing import Any

import msgpack
from pamqp import encode

from asynctasq.driverkit.packing import (
    check_id,
    decode_message,
    is_plain,
    not_unicode,
    pack_error,
    pack_message,
    pack_profile,
    unpack_error,
)
from asynctasq.errors import BodyCorrupt
from asynctasq.message import Message, id_to_text
from asynctasq.records import record
from asynctasq.settlement import ErrorInfo

VERSION = 1
REASON = "x-asynctasq-reason"
"""Header of a dead letter: its reason."""
ERROR = "x-asynctasq-error"
"""Header of a dead letter: the type and the text of its error."""
LEASE = "x-asynctasq-lease"
"""Header of a message in a held queue: the token of its lease."""

CONTENT_TYPE = b"application/x-asynctasq"
_HEADERS, _PERSISTENT = 1 << 13, 2
_FLAGS = 1 << 15 | 1 << 12 | 1 << 11 | 1 << 7 | 1 << 6 | 1 << 5 | 1 << 3
_TIME = Struct(">Q")
_TEXT_LIMIT = 255


@record
class Record:
    """A message, and what the queue knows about it."""

    message: Message
    enqueued_at: float
    due_at: float
    attempt: int = 0
    lost: int = 0
    started: bool = False
    """True if it was leased before."""
    mismatched_at: float | None = None
    error: ErrorInfo | None = None

    def changed(self, **changes: Any) -> "Record":
        """Return a copy with other values."""
        values: dict[str, Any] = {
            "message": self.message,
            "enqueued_at": self.enqueued_at,
            "due_at": self.due_at,
            "attempt": self.attempt,
            "lost": self.lost,
            "started": self.started,
            "mismatched_at": self.mismatched_at,
            "error": self.error,
        }
        return Record(**{**values, **changes})


def pack_record(known: Record) -> bytes:
    """Return a record as the body of an AMQP message.

    Raises:
        DriverError: the ID has the wrong length, or a text is not valid Unicode.
    """
    message = known.message
    check_id(message.id)
    plain = is_plain(message)
    try:
        profile = pack_profile(
            message.task, message.priority, message.max_attempts, message.max_lost,
            message.result_ttl, message.expires, plain,
        )  # fmt: skip
        values: tuple[object, ...] = (
            VERSION, message.id, message.queue, profile,
            message.body if plain else pack_message(message),
            known.enqueued_at, known.due_at,
        )  # fmt: skip
        if known.started or known.attempt or known.lost or known.error:
            values += (
                known.attempt, known.lost, known.started, known.mismatched_at, pack_error(known.error),
            )  # fmt: skip
        packed: bytes = msgpack.packb(values)
    except UnicodeEncodeError as error:
        raise not_unicode(error) from error
    return packed


def pack_fitted(known: Record, most: int) -> bytes:
    """Return a record as a body of so many bytes at most, with as much of its error as fits.

    A record without an error keeps its size.
    """
    body = pack_record(known)
    error = known.error
    if len(body) <= most or error is None:
        return body
    least = len(pack_record(known.changed(error=ErrorInfo("", "", ""))))
    # A character takes four bytes at most, and the lengths take some.
    characters = max(most - least - 64, 0) // 12
    kind, text = error.type[:characters], error.message[:characters]
    trace = error.traceback[-characters:] if characters else ""
    body = pack_record(known.changed(error=ErrorInfo(kind, text, trace)))
    return body if len(body) <= most else pack_record(known.changed(error=None))


def unpack_record(body: bytes) -> Record:
    """Return the record that `pack_record` made bytes of.

    Raises:
        BodyCorrupt: the body is something else.
    """
    try:
        version, message_id, queue, profile, rest, enqueued_at, due_at, *more = msgpack.unpackb(
            body
        )
        if (
            version != VERSION
            or type(message_id) is not bytes
            or type(queue) is not str
            or type(profile) is not bytes
            or type(rest) is not bytes
        ):
            raise TypeError("a field has another type, or the version is not known")  # noqa: TRY301 - becomes BodyCorrupt below
        message = decode_message(message_id, queue, profile, rest)
        if not more:
            return Record(message, float(enqueued_at), float(due_at))
        attempt, lost, started, mismatched_at, error, *_ = more
        return Record(
            message,
            float(enqueued_at),
            float(due_at),
            int(attempt),
            int(lost),
            bool(started),
            None if mismatched_at is None else float(mismatched_at),
            unpack_error(error),
        )
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise BodyCorrupt(f"{len(body)} bytes are not a message of asynctasq: {error}") from error


def message_id(message: Message) -> bytes:
    """Return the property `message_id`."""
    return id_to_text(message.id).encode()


def properties_of(
    message: Message, message_id: bytes, headers: Mapping[str, str | int] | None = None
) -> bytes:
    """Return the properties of an AMQP message, which management pages show."""
    before, after = _constant(message.task, message.priority)
    if not headers:
        return b"".join(
            (
                _FLAGS.to_bytes(2, "big"),
                _CONTENT,
                before,
                message_id,
                _TIME.pack(int(time.time())),
                after,
            )
        )
    return b"".join(
        (
            (_FLAGS | _HEADERS).to_bytes(2, "big"), _CONTENT,
            encode.field_table(dict(headers)),
            before, message_id, _TIME.pack(int(time.time())), after,
        )
    )  # fmt: skip


def foreign_properties(body_type: bytes, headers: Mapping[str, str | int]) -> bytes:
    """Return the properties of a dead letter that no record could be read from."""
    flags = 1 << 15 | _HEADERS | 1 << 12
    return b"".join(
        (
            flags.to_bytes(2, "big"), bytes((len(body_type),)), body_type,
            encode.field_table(dict(headers)), bytes((_PERSISTENT,)),
        )
    )  # fmt: skip


_CONTENT = bytes((len(CONTENT_TYPE),)) + CONTENT_TYPE


@lru_cache(1024)
def _constant(task: str, priority: int) -> tuple[bytes, bytes]:
    """Return delivery mode, priority and the length of the ID; and the type and the name of the application."""
    name = task.encode("utf-8", "replace")[:_TEXT_LIMIT]
    return (
        bytes((_PERSISTENT, min(max(priority, 0), 255), 36)),
        bytes((len(name),)) + name + b"\x09asynctasq",
    )
