"""Stores that fail or stop at a chosen call: as a process that is killed there, or a store that is away."""

from collections.abc import Callable
from typing import Any

from asynctasq.errors import DriverUnavailable


class Calls:
    """The calls to both stores, in order. One of them can fail, before or after it has taken effect."""

    def __init__(self) -> None:
        self.names: list[str] = []
        """Such as `state.finish` and `queue.settle`."""
        self._fails: tuple[str, bool] | None = None
        self._passes = 0

    def fail(self, name: str, *, done: bool, passes: int = 0) -> None:
        """Let the next call of that name raise, after `passes` ones; `done` says whether it takes effect."""
        self._fails, self._passes = (name, done), passes

    async def run(self, name: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Make a call."""
        fails, done = self._fails or ("", False)
        if fails == name and self._passes:
            self._passes -= 1
            fails = ""
        if fails != name:
            self.names.append(name)
            return await method(*args, **kwargs)
        self._fails = None
        if done:
            await method(*args, **kwargs)
        raise DriverUnavailable(f"{name} got no answer.")


WATCHED = frozenset(
    {
        "enqueue",
        "paused",
        "reserve",
        "reserve_and_deaths",
        "settle",
        "extend",
        "finish",
        "flag",
        "marks",
        "adopt",
        "note",
    }
)


def watched(driver: Any, name: str, calls: Calls) -> Any:
    """Return a driver whose calls are recorded, and may fail."""

    def _method(method: str) -> Any:
        inner = getattr(driver, method)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await calls.run(f"{name}.{method}", inner, *args, **kwargs)

        return call

    for method in WATCHED & set(dir(driver)):
        setattr(driver, method, _method(method))
    return driver
