"""Messages in SQS: a text for people as the body, and a record in the binary attribute `m`.

SQS cannot change a message that it holds, so every change is a copy with another record.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgpack

from asynctasq.driverkit.packing import pack_message, unpack_message
from asynctasq.errors import BodyCorrupt
from asynctasq.message import Message
from asynctasq.records import record
from asynctasq.settlement import ErrorInfo

ATTRIBUTE = "m"
REASON = "reason"
ROOM = 512
"""Bytes of a message that are kept free for the record's own fields, so that a copy always fits."""
_VERSION = 1
_LEASED, _HELD = 1, 2
_LONGEST_TITLE = 200
_NOT_TEXT = re.compile("[^\x09\x0a\x0d\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TYPE_NAMES = len("Binary") + len("String")
_SHORT = 200


@record
class Record:
    """A message and its history."""

    message: Message
    packed: bytes
    """The message as `pack_message` makes it."""
    enqueued_at: float
    due: float
    """Seconds since the Unix epoch."""
    attempt: int = 0
    lost: int = 0
    """Leases that ended without renewal, before this copy."""
    leased: bool = False
    """True if a copy before this one was leased."""
    held: bool = False
    """True if the message is due later than this copy becomes visible."""
    mismatched_since: float | None = None
    error: ErrorInfo | None = None
    reason: str | None = None
    """Why it is dead; None in a work queue."""


def new_record(message: Message, *, now: float, due: float, held: bool) -> Record:
    """Return the record of a message that is enqueued."""
    return Record(message, pack_message(message), now, due, held=held)


def pack(item: Record) -> bytes:
    """Return a record as bytes."""
    flags = (_LEASED if item.leased else 0) | (_HELD if item.held else 0)
    error = item.error and (item.error.type, item.error.message, item.error.traceback)
    packed: bytes = msgpack.Packer(unicode_errors="surrogatepass").pack(
        (
            _VERSION, item.packed, item.enqueued_at, item.due, item.attempt, item.lost, flags,
            item.mismatched_since, error, item.reason,
        )
    )  # fmt: skip
    return packed


def unpack(data: bytes, queue: str) -> Record:
    """Return the record that `pack` made bytes of.

    Raises:
        BodyCorrupt: `data` is something else.
    """
    try:
        fields: list[Any] = msgpack.unpackb(data, unicode_errors="surrogatepass")
        version, packed, enqueued_at, due, attempt, lost, flags, mismatched, error, reason, *_ = (
            fields
        )
        found = Record(
            unpack_message(packed),
            packed,
            float(enqueued_at),
            float(due),
            int(attempt),
            int(lost),
            bool(flags & _LEASED),
            bool(flags & _HELD),
            None if mismatched is None else float(mismatched),
            None if error is None else ErrorInfo(*map(str, error)),
            None if reason is None else str(reason),
        )
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as cause:
        raise BodyCorrupt(
            f"{len(data)} bytes of an SQS message are not a record: {cause}"
        ) from cause
    if version != _VERSION:
        raise BodyCorrupt(
            f"A message of SQS has a record of version {version!r}, which this release cannot read."
        )
    if found.reason is not None:  # an operator moved a dead letter back
        found = replace(found, attempt=0, lost=0, leased=False, reason=None, due=found.due)
    if found.message.queue != queue:
        message = replace(found.message, queue=queue)
        found = replace(found, message=message, packed=pack_message(message))
    return found


def title(task: str) -> str:
    """Return the text of a message in the AWS console: the name of the task, as far as SQS allows it."""
    return _NOT_TEXT.sub("?", task[:_LONGEST_TITLE]) or "task"


def as_text(text: str) -> str:
    """Return a text for people in an attribute, as far as SQS allows it."""
    return _NOT_TEXT.sub("?", text[:_LONGEST_TITLE]) or "-"


def message_bytes(body: str, data: bytes, reason: str | None = None) -> int:
    """Return the size of a message as SQS counts it."""
    more = 0 if reason is None else len(REASON) + len(reason.encode())
    return len(body.encode()) + len(ATTRIBUTE) + _TYPE_NAMES + len(data) + more


def attributes_bytes(attributes: Mapping[str, Any]) -> int:
    """Return the size of attributes as SQS counts it."""
    return sum(
        len(name.encode())
        + len(value.get("DataType", "").encode())
        + len(value.get("StringValue", "").encode())
        + len(value.get("BinaryValue", b""))
        for name, value in attributes.items()
    )


def fitted(item: Record, most: int) -> bytes:
    """Return a record as bytes, with as much of its error as the size limit leaves room for."""
    data = pack(item)
    if len(data) <= most or item.error is None:
        return data
    error = item.error
    without = len(pack(replace(item, error=ErrorInfo(error.type[:_SHORT], "", ""))))
    room = max(most - without - ROOM // 8, 0)
    # A character takes four bytes at most.
    text, trace = (
        error.message[: room // 8],
        error.traceback[-(room // 8) or len(error.traceback) :],
    )
    short = replace(item, error=ErrorInfo(error.type[:_SHORT], text, trace if room else ""))
    data = pack(short)
    return data if len(data) <= most else pack(replace(item, error=None))
