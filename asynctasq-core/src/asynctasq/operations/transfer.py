"""Waiting tasks and dead letters as lines of JSON, which another store can take in.

The first line says the version of the format. Each other line is one task with all fields of its message, the body in
Base64. Times are absolute: seconds since the Unix epoch.
"""

import json
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import field, fields
from typing import Any

from asynctasq.contracts.capabilities import (
    Capability,
    SupportsDeadLetters,
    SupportsInspect,
    require,
)
from asynctasq.contracts.capabilities.state import Ended, SupportsState
from asynctasq.contracts.driver import Driver
from asynctasq.errors import AsynctasqError, BodyCorrupt
from asynctasq.message import (
    Message,
    OnConflict,
    OnParentFailure,
    Parent,
    ScheduledRun,
    State,
    Unique,
    UniqueUntil,
    id_from_text,
    id_to_text,
)
from asynctasq.operations.bulk import up_to_now
from asynctasq.records import record
from asynctasq.settlement import ErrorInfo, Reason

FORMAT = 1
"""The version of the lines that this release writes, and the latest that it reads."""
LINES_AT_ONCE = 200
BYTES_AT_ONCE = 1_000_000
_HEAD = "asynctasq_export"
_PLAIN: Mapping[str, type | tuple[type, ...]] = {
    "priority": int,
    "max_attempts": int,
    "max_lost": int,
    "result_ttl": (int, float),
    "group": str,
    "given_id": bool,
}
_DEFAULTS = {each.name: each.default for each in fields(Message)}


@record
class ImportCounts:
    """What an import has done."""

    added: int = 0
    skipped: int = 0
    """Known to the store already, or their unique key is held by another task."""
    failed: tuple[tuple[int, str], ...] = ()
    """Numbers of the lines that could not be imported, each with the reason."""


@record
class _Line:
    number: int
    message: Message
    dead: Mapping[str, Any] | None = field(default=None, hash=False)


async def exported(driver: Driver, queue: str, *, dead: bool) -> AsyncIterator[str]:
    """Yield the lines of a queue: scheduled and ready tasks, then dead letters."""
    store = require(driver, Capability.INSPECT, SupportsInspect, purpose="Exporting tasks")
    yield json.dumps({_HEAD: FORMAT, "queue": queue, "exported_at": time.time()})
    until = (await up_to_now(driver, {})).get("until")
    assert isinstance(until, float)
    for state in (State.SCHEDULED, State.READY):
        cursor: str | None = None
        while True:
            page = await store.browse(
                state, queue=queue, until=until, limit=LINES_AT_ONCE, cursor=cursor
            )
            for found in page.items:
                yield _damage(found.message, found.error) or json.dumps(
                    _line(found.message, found.due_at)
                )
            cursor = page.cursor
            if cursor is None:
                break
    if dead:
        async for line in _exported_dead(driver, queue):
            yield line


async def _exported_dead(driver: Driver, queue: str) -> AsyncIterator[str]:
    purpose = "Exporting dead letters"
    store = require(driver, Capability.DEAD_LETTERS, SupportsDeadLetters, purpose=purpose)
    cursor: str | None = None
    while True:
        page = await store.dead_letters(queue=queue, limit=LINES_AT_ONCE, cursor=cursor)
        for letter in page.items:
            line, error = _line(letter.message, letter.enqueued_at), letter.error
            line["dead"] = {
                "reason": letter.reason.value,
                "attempts": letter.attempts,
                "lost": letter.lost,
                "enqueued_at": letter.enqueued_at,
                "died_at": letter.died_at,
                "error": error and [error.type, error.message, error.traceback],
            }
            yield _damage(letter.message, error) or json.dumps(line)
        cursor = page.cursor
        if cursor is None:
            return


def _damage(message: Message, error: ErrorInfo | None) -> str | None:
    """Return the line of a message whose record is damaged; None if it is not."""
    if error is None or error.traceback or error.type.rpartition(".")[2] != BodyCorrupt.__name__:
        return None  # the error of a run has a traceback
    return json.dumps({"id": id_to_text(message.id), "damaged": error.message})


async def imported(
    driver: Driver, lines: Iterable[str | bytes], *, queue: str | None
) -> ImportCounts:
    """Enqueue the tasks of exported lines, a batch at a time. A line that is damaged costs only itself.

    Raises:
        ValueError: the lines are no export, or one of a later release.
    """
    numbered = enumerate(lines, 1)
    _check_head(next(numbered, (1, ""))[1])
    counts = ImportCounts()
    batch: list[_Line] = []
    size = 0
    for number, text in numbered:
        if not text.strip():
            continue
        try:
            batch.append(_read(number, text, queue))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            counts = _sum(counts, failed=((number, f"{error}"),))
            continue
        size += len(text)
        if len(batch) >= LINES_AT_ONCE or size >= BYTES_AT_ONCE:
            counts = await _add(driver, batch, counts)
            batch, size = [], 0
    return await _add(driver, batch, counts)


async def _add(driver: Driver, batch: list[_Line], counts: ImportCounts) -> ImportCounts:
    """Add a batch; if the store refuses it, each of its tasks alone."""
    waiting = [line for line in batch if line.dead is None]
    dead = [line for line in batch if line.dead is not None]
    for lines, add in ((waiting, _enqueue), (dead, _bury)):
        if not lines:
            continue
        try:
            created = await add(driver, lines)
        except AsynctasqError as error:
            if not _is_refusal(error):
                raise
            if len(lines) > 1:
                for line in lines:
                    counts = await _add(driver, [line], counts)
            else:
                counts = _sum(counts, failed=((lines[0].number, str(error)),))
            continue
        counts = _sum(counts, added=sum(created), skipped=len(created) - sum(created))
    return counts


def _is_refusal(error: AsynctasqError) -> bool:
    """Return whether the store is there, but does not take a message."""
    from asynctasq.errors import CapabilityMissing, DriverError, DriverUnavailable

    return isinstance(error, DriverError) and not isinstance(
        error, DriverUnavailable | CapabilityMissing
    )


async def _enqueue(driver: Driver, lines: list[_Line]) -> list[bool]:
    answers = await driver.enqueue([line.message for line in lines])
    return [answer.created for answer in answers]


async def _bury(driver: Driver, lines: list[_Line]) -> list[bool]:
    store = require(driver, Capability.STATE, SupportsState, purpose="Importing dead letters")
    return await store.finish([_ended(line) for line in lines])


def _ended(line: _Line) -> Ended:
    dead = line.dead or {}
    error = dead.get("error")
    return Ended(
        line.message,
        State.DEAD,
        float(dead.get("enqueued_at") or 0.0),
        reason=Reason(dead.get("reason", Reason.FAILED)),
        error=None if error is None else ErrorInfo(*error),
        attempts=int(dead.get("attempts") or 0),
        lost=int(dead.get("lost") or 0),
    )


def _line(message: Message, due_at: float) -> dict[str, Any]:
    """Return a message as a JSON object. Fields that have their default are left out."""
    line: dict[str, Any] = {
        "id": id_to_text(message.id),
        "queue": message.queue,
        "task": message.task,
        "due_at": due_at,
        "body": b64encode(message.body).decode(),
    }
    for name in _PLAIN:
        if getattr(message, name) != _DEFAULTS[name]:
            line[name] = getattr(message, name)
    if message.expires is not None:
        line["expires_at"] = due_at + message.expires
    if message.headers:
        line["headers"] = dict(message.headers)
    if message.limits:
        line["limits"] = list(message.limits)
    if message.unique is not None:
        unique = message.unique
        line["unique"] = {
            "key": unique.key,
            "until": unique.until.value,
            "on_conflict": unique.on_conflict.value,
            "period": unique.period,
        }
    if message.parents:
        line["parents"] = [[id_to_text(each.id), each.on_failure.value] for each in message.parents]
    if message.workflow is not None:
        line["workflow"] = id_to_text(message.workflow)
    if message.schedule is not None:
        line["schedule"] = [message.schedule.schedule, message.schedule.fire_time]
    return line


def _check_head(text: str | bytes) -> None:
    try:
        version = json.loads(text)[_HEAD]
    except (ValueError, TypeError, LookupError):
        raise ValueError(
            "The first line must be that of an export of `asynctasq export`. Is this the right file?"
        ) from None
    if type(version) is not int or version > FORMAT:
        raise ValueError(
            f"The export has format {version}, and this release reads formats up to {FORMAT}. Import it with "
            "the release that wrote it, or a later one."
        )


def _read(number: int, text: str | bytes, queue: str | None) -> _Line:
    """Return the task of a line.

    Raises:
        ValueError: the line is damaged; so do a TypeError and a LookupError.
    """
    try:
        line = json.loads(text)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(line, dict):
        raise TypeError("not a JSON object")
    if "damaged" in line:
        raise ValueError(f"its record was damaged in the store it came from: {line['damaged']}")
    missing = [name for name in ("id", "queue", "task", "due_at", "body") if name not in line]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}")
    message = Message(
        id_from_text(line["id"]),
        str(queue or line["queue"]),
        str(line["task"]),
        b64decode(line["body"], validate=True),
        **_numbers(line),
        **_times(line),
        **_relations(line),
    )
    return _Line(number, message, line.get("dead"))


def _numbers(line: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, kinds in _PLAIN.items():
        if name in line:
            if not isinstance(line[name], kinds):
                raise TypeError(f"{name} must not be {line[name]!r}")
            values[name] = line[name]
    return values


def _times(line: Mapping[str, Any]) -> dict[str, Any]:
    now, due_at = time.time(), float(line["due_at"])
    values: dict[str, Any] = {"eta": due_at} if due_at > now else {}
    if line.get("expires_at") is not None:
        values["expires"] = max(float(line["expires_at"]) - max(due_at, now), 0.0)
    return values


def _relations(line: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "headers" in line:
        values["headers"] = {str(name): str(value) for name, value in line["headers"].items()}
    if "limits" in line:
        values["limits"] = tuple(map(str, line["limits"]))
    if "unique" in line:
        unique = line["unique"]
        # An import replaces nothing, and prolongs nothing.
        until = UniqueUntil(unique["until"])
        values["unique"] = Unique(str(unique["key"]), until, OnConflict.SKIP, unique["period"])
    if "parents" in line:
        values["parents"] = tuple(
            Parent(id_from_text(parent), OnParentFailure(rule)) for parent, rule in line["parents"]
        )
    if "workflow" in line:
        values["workflow"] = id_from_text(line["workflow"])
    if "schedule" in line:
        values["schedule"] = ScheduledRun(*line["schedule"])
    return values


def _sum(
    counts: ImportCounts,
    *,
    added: int = 0,
    skipped: int = 0,
    failed: tuple[tuple[int, str], ...] = (),
) -> ImportCounts:
    return ImportCounts(counts.added + added, counts.skipped + skipped, counts.failed + failed)
