"""Tasks that raise exception groups, or return work that is not done, one of each kind in every mode."""

import asyncio
import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from asynctasq import (
    AsyncProcessTask,
    AsyncTask,
    Reject,
    Retry,
    Snooze,
    SyncProcessTask,
    SyncTask,
    current_task,
    task,
)
from asynctasq.errors import TaskTimeout

F = TypeVar("F", bound=Callable[..., Any])


class OwnGroup(ExceptionGroup[Exception]):
    pass


class WrongClass(Exception):
    """An exception that claims to be a Reject."""

    @property
    def __class__(self) -> Any:
        return Reject

    @__class__.setter
    def __class__(self, _: object) -> None:
        raise AttributeError


class WrongGroupClass(Exception):
    """An exception that claims to be a group, but has no exceptions."""

    @property
    def __class__(self) -> Any:
        return ExceptionGroup

    @__class__.setter
    def __class__(self, _: object) -> None:
        raise AttributeError


class Untouchable(Exception):
    """None of its attributes can be asked for."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class EmptyGroup(ExceptionGroup[Exception]):
    """A group that denies what it holds."""

    @property
    def exceptions(self) -> Any:
        return None


class OddText(str):
    """A text that cannot be measured or encoded."""

    __slots__ = ()

    def __len__(self) -> int:
        raise RuntimeError

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        raise RuntimeError(encoding, errors)

    def __str__(self) -> str:
        raise RuntimeError


class OddlyTold(Exception):
    def __str__(self) -> str:
        return OddText("odd")


ODD: dict[str, Callable[[], BaseException]] = {
    "WrongClass": WrongClass,
    "WrongGroupClass": WrongGroupClass,
    "Untouchable": Untouchable,
    "EmptyGroup": lambda: EmptyGroup("empty", [ValueError()]),
    "OddlyTold": OddlyTold,
}


def group(*errors: BaseException) -> BaseException:
    return BaseExceptionGroup("several", errors)


def raise_in_except_star() -> None:
    try:
        raise group(KeyError("gone"))
    except* KeyError:
        raise Reject("no such order") from None


RAISED: dict[str, Callable[[], BaseException]] = {
    "reject": lambda: group(Reject("no such order")),
    "reject within": lambda: group(ValueError(), group(group(Reject("no such order")))),
    "reject before all": lambda: group(
        Retry(delay=0), SystemExit(), Snooze(1), Reject("no such order")
    ),
    "retry": lambda: group(Retry(delay=0), Retry(delay=0.01), asyncio.CancelledError()),
    "retry before snooze": lambda: group(Snooze(3000), Retry(delay=0.01)),
    "snooze": lambda: group(Snooze(0.01), group(Snooze(0.02))),
    "wanted": lambda: group(ConnectionError(), ConnectionResetError(), asyncio.CancelledError()),
    "wanted with retry": lambda: group(ConnectionError(), Retry(delay=3000)),
    "not wanted": lambda: group(ConnectionError(), ValueError("bad")),
    "timeout": lambda: group(TaskTimeout("too long")),
    "base": lambda: group(KeyboardInterrupt(), ConnectionError()),
    "cancellations": lambda: group(asyncio.CancelledError()),
}


async def later() -> str:
    return "later"


def generated() -> Any:
    yield 1


async def generated_async() -> Any:
    yield 1


class Lazy:
    def __await__(self) -> Any:
        return later().__await__()


RETURNED: dict[str, Callable[[], Any]] = {
    "coroutine": later,
    "generator": generated,
    "async generator": generated_async,
    "awaitable": Lazy,
}


def act(case: str) -> Any:
    if case == "fail":
        fail(case)
    if case in RETURNED:
        return RETURNED[case]()
    if case in ODD:
        error = ODD[case]()
        raise error
    if case == "except star":
        raise_in_except_star()
    if current_task().attempt == 0 and not (case == "snooze" and _seen()):
        raise_for(case)
    return "done"


def raise_for(case: str) -> None:
    error = RAISED[case]()
    raise error


_snoozed: set[str] = set()


def _seen() -> bool:
    """Return whether this task has run in this process before: a snooze does not count as an attempt."""
    found = current_task().id in _snoozed
    _snoozed.add(current_task().id)
    return found


def wants(error: Exception) -> bool:
    return isinstance(error, ConnectionError)


class InLoop(AsyncTask[Any]):
    max_attempts, retry_delay = 2, 0
    case: str

    async def execute(self) -> Any:
        return act(self.case)

    def should_retry(self, exception: Exception) -> bool:
        return wants(exception)


class InThread(SyncTask[Any]):
    max_attempts, retry_delay = 2, 0
    case: str

    def execute(self) -> Any:
        return act(self.case)

    def should_retry(self, exception: Exception) -> bool:
        return wants(exception)


class InProcess(SyncProcessTask[Any]):
    max_attempts, retry_delay = 2, 0
    case: str

    def execute(self) -> Any:
        return act(self.case)

    def should_retry(self, exception: Exception) -> bool:
        return wants(exception)


class InProcessLoop(AsyncProcessTask[Any]):
    max_attempts, retry_delay = 2, 0
    case: str

    async def execute(self) -> Any:
        return act(self.case)

    async def should_retry(self, exception: Exception) -> bool:
        return wants(exception)


@task(max_attempts=2, retry_delay=0, retry_on=(ConnectionError, OwnGroup))
async def by_type(case: str) -> str:
    if current_task().attempt == 0:
        if case == "own":
            raise OwnGroup("own", [ValueError()])
        raise_for(case)
    return "done"


@task(max_attempts=2, retry_delay=0, retry_on=wants)
async def by_predicate(case: str) -> str:
    if current_task().attempt == 0:
        raise_for(case)
    return "done"


@task(max_attempts=1)
async def returns_task() -> Any:
    return asyncio.ensure_future(later())


@task(max_attempts=1)
async def returns_gathering() -> Any:
    return asyncio.gather(later(), asyncio.Event().wait())


def fail(case: str) -> Any:
    raise LookupError(case)


def passing(function: F) -> F:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return cast("F", wrapper)


@task(process=True, max_attempts=1)
@passing
async def wrapped_in_process(number: int) -> int:
    await asyncio.sleep(0)
    return number + 1


async def two(self: object) -> int:
    await asyncio.sleep(0)
    return 2


untyped: Any = passing


class WrappedInThread(SyncTask[int]):
    execute = untyped(two)
