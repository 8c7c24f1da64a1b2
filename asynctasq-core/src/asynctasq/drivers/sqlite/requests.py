"""Calls on their way to the engine's thread, and their answers on the way back."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any, TypeAlias, TypeVar

from asynctasq.drivers.sqlite.session import Session

T = TypeVar("T")
Operation: TypeAlias = Callable[[Session], T]


class Signal(Enum):
    """Signals in the inbox, in addition to requests and watchers."""

    LOOK = "look"
    STOP = "stop"


class Request:
    """One call, on its way to the thread and back."""

    __slots__ = (
        "durable",
        "error",
        "future",
        "item_by_item",
        "loop",
        "operation",
        "single",
        "value",
        "writes",
    )  # fmt: skip

    def __init__(
        self, operation: Operation[Any], *, writes: bool, durable: bool, single: bool
    ) -> None:
        self.operation = operation
        self.writes = writes
        self.durable = durable
        self.single = single
        self.item_by_item = False
        self.value: Any = None
        self.error: Exception | None = None
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()


def answer(requests: Iterable[Request]) -> None:
    """Send outcomes to the loops that wait for them, with one wake-up for each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Request]] = {}
    for request in requests:
        by_loop.setdefault(request.loop, []).append(request)
    for loop, answered in by_loop.items():
        try:
            loop.call_soon_threadsafe(_set_futures, answered)
        except RuntimeError:
            # The loop is closed, and its coroutines have ended.
            if not loop.is_closed():
                raise


def _set_futures(requests: Sequence[Request]) -> None:
    """Set the futures, on their loop, except those that were cancelled."""
    for request in requests:
        if request.future.done():
            continue
        if request.error is None:
            request.future.set_result(request.value)
        else:
            request.future.set_exception(request.error)
