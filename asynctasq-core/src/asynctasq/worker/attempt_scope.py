"""What is around the code of one attempt: resolvers that attend it, and what is closed at its end."""

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from asynctasq.contracts.resolver import ExecutionScope

T = TypeVar("T")
logger = logging.getLogger("asynctasq")


class AttemptScope:
    """Of one call; entered and left once for each piece of its code (`execute`, then a hook, say)."""

    __slots__ = ("_attendants", "_closers", "state", "task")

    def __init__(self, task: str) -> None:
        """Make them for a task of that name."""
        self.task = task
        self.state: dict[object, Any] = {}
        """Of this piece of code, for whoever needs to find again what it has opened."""
        self._closers: list[Callable[[], object]] = []
        self._attendants: list[ExecutionScope] = []

    def add_cleanup(self, close: Callable[[], object]) -> None:
        """Call this when the piece of code has ended."""
        self._closers.append(close)

    def run(self, function: Callable[[], T], execution_scopes: Sequence[ExecutionScope]) -> T:
        """Run a piece of code in this thread, outside of event loops."""
        for each in execution_scopes:
            self._guard(each.enter)
        try:
            return function()
        finally:
            self.end_here()
            for each in reversed(execution_scopes):
                self._guard(each.leave)

    def end_here(self) -> None:
        """A piece of code has ended in this thread: close what it has opened."""
        while self._closers:
            self._close_here(self._closers.pop())
        self.state.clear()

    async def enter(self, execution_scopes: Sequence[ExecutionScope]) -> None:
        """A piece of code is about to run on this loop."""
        for each in execution_scopes:
            self._attendants.append(each)
            await self._guard_async(each.enter_loop)

    async def leave(self) -> None:
        """It has ended. What is closed is closed even if this is cancelled meanwhile."""
        try:
            if self._closers:
                await _to_its_end(self._close())
            self.state.clear()
            await self._take_leave()
        except asyncio.CancelledError:
            await self._take_leave()  # of those that are left
            raise

    async def _close(self) -> None:
        while self._closers:
            await self._guard_async(self._closers.pop())

    async def _take_leave(self) -> None:
        while self._attendants:
            await self._guard_async(self._attendants.pop().leave_loop)

    def _close_here(self, close: Callable[[], object]) -> None:
        answer = self._guard(close)
        if inspect.isawaitable(answer):
            if inspect.iscoroutine(answer):
                answer.close()
            logger.error("%s is sync, and cannot await what it closes at its end.", self.task)

    def _guard(self, step: Callable[[], T]) -> T | None:
        try:
            return step()
        except BaseException:  # `SystemExit` changes no outcome either
            logger.exception("Something around the code of %s failed.", self.task)
            return None

    async def _guard_async(self, step: Callable[[], object]) -> None:
        try:
            answer = step()
            if inspect.isawaitable(answer):
                await answer
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException:
            logger.exception("Something around the code of %s failed.", self.task)


async def _to_its_end(closing: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
