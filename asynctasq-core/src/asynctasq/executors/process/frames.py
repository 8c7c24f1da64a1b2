"""Frames between a worker and its children, encoded with msgpack and never with pickle.

To the child as datagrams: orders, one for each message; a large order is only announced. To the child in the
stream: `[CANCEL, number]` and `[LARGE, number, order]`. To the worker in the stream: replies,
`[number, kind, flags, ...]`.
"""

from typing import Any, TypeAlias, cast

import msgpack

from asynctasq.contracts.executor import AttemptResult, Raised, Rejected, Returned, Snoozed
from asynctasq.errors import (
    ArgumentsMismatch,
    AsynctasqError,
    BodyCorrupt,
    BodyVersion,
    ChildDied,
    TaskTimeout,
    UnknownTask,
)
from asynctasq.message import Delivery, Lease, Message, ScheduledRun
from asynctasq.records import record
from asynctasq.settlement import ErrorInfo

RUN, JUDGE, FAILED, LARGE, CANCEL = range(5)
"""Kinds of orders (run the task; call `should_retry` for an error of this process; call the `failed` hook),
and of other frames to the child."""

(
    READY,
    BROKEN,
    PROGRESS,
    CANCELLED,
    RETURNED,
    RAISED,
    SNOOZED,
    REJECTED,
    UNFIT,
    HOOK,
    WAITING,
) = range(11)
"""Kinds of replies: the child is ready; its start failed; progress; the run was interrupted; outcomes of the
run; the message does not fit this release; the hook has ended; the task begins or ends to wait for the
result of another task."""

SPENT, REMEMBERED = 1, 2
"""Flags of a reply: the child must be replaced; it keeps the failed task for its `failed` hook."""

CONNECTION_LOST_EXIT = 74
"""Exit code of a child that cannot reach its worker any more (`EX_IOERR` of sysexits.h)."""

Frame: TypeAlias = list[Any]
_SURROGATES = "surrogatepass"
"""Headers may contain lone surrogates."""
_UNFIT = {
    each.__name__: each for each in (ArgumentsMismatch, BodyCorrupt, BodyVersion, UnknownTask)
}
_MADE_HERE = {f"asynctasq.errors.{each.__name__}": each for each in (ChildDied, TaskTimeout)}


@record
class Order:
    """One unit of work for a child."""

    op: int
    number: int
    delivery: Delivery
    module: str
    """Module that defines the task."""
    about: int
    """For `FAILED`: the number of the run that failed."""
    error: ErrorInfo | None
    """For `JUDGE` and `FAILED`."""


def pack_order(
    op: int,
    number: int,
    delivery: Delivery,
    module: str,
    *,
    about: int = 0,
    error: ErrorInfo | None = None,
) -> bytes:
    """Return an order as bytes."""
    message = delivery.message
    run = message.schedule
    return pack(
        [
            op,
            number,
            message.id,
            message.queue,
            message.task,
            message.body,
            message.max_attempts,
            delivery.attempt,
            delivery.enqueued_at,
            dict(message.headers) or None,
            module,
            about,
            None if error is None else [error.type, error.message, error.traceback],
            None if run is None else [run.schedule, run.fire_time],
        ]
    )


def unpack_order(frame: Frame) -> Order:
    """Return the order in a frame."""
    op, number, id_, queue, task, body, attempts, attempt, enqueued_at, headers = frame[:10]
    module, about, error, run = frame[10:]
    message = Message(
        id_,
        queue,
        task,
        body,
        max_attempts=attempts,
        schedule=None if run is None else ScheduledRun(*run),
        headers=headers or {},
    )
    delivery = Delivery(message, Lease(id_, 0), attempt, 0, enqueued_at)
    return Order(op, number, delivery, module, about, None if error is None else ErrorInfo(*error))


def pack(value: Frame) -> bytes:
    """Return a frame as bytes."""
    packed: bytes = msgpack.packb(value, unicode_errors=_SURROGATES)
    return packed


def unpack(data: bytes) -> Frame:
    """Return the frame in a datagram."""
    return cast("Frame", msgpack.unpackb(data, unicode_errors=_SURROGATES))


def unpacker() -> msgpack.Unpacker:
    """Return an unpacker that splits a stream into frames of any size."""
    return msgpack.Unpacker(unicode_errors=_SURROGATES, max_buffer_size=0)


def attempt_fields(attempt: AttemptResult) -> Frame:
    """Return the kind and fields of a reply with the outcome of a run."""
    match attempt:
        case Returned(result=result):
            return [RETURNED, result]
        case Snoozed(delay=delay):
            return [SNOOZED, delay]
        case Rejected(error=error):
            return [REJECTED, error.type, error.message, error.traceback]
        case Raised(error=error):
            described = [error.type, error.message, error.traceback]
            return [RAISED, *described, attempt.retry, attempt.retry_delay]


def read_attempt(kind: int, fields: Frame) -> AttemptResult:
    """Return the outcome of a run.

    Raises:
        BodyError, UnknownTask: the message does not fit this release.
    """
    if kind == RETURNED:
        return Returned(fields[0])
    if kind == SNOOZED:
        return Snoozed(fields[0])
    if kind == REJECTED:
        return Rejected(ErrorInfo(*fields))
    if kind == RAISED:
        return Raised(ErrorInfo(*fields[:3]), retry=fields[3], retry_delay=fields[4])
    raise _UNFIT[fields[0]](fields[1])


def unfit_fields(error: AsynctasqError) -> Frame:
    """Return the kind and fields of a reply about a message that does not fit this release."""
    names = [cls.__name__ for cls in type(error).__mro__ if cls.__name__ in _UNFIT]
    return [UNFIT, names[0] if names else BodyCorrupt.__name__, str(error)]


def rebuilt(error: ErrorInfo) -> Exception:
    """Return an exception for hooks in a process that did not raise the original."""
    kind = _MADE_HERE.get(error.type)
    return RuntimeError(f"{error.type}: {error.message}") if kind is None else kind(error.message)
