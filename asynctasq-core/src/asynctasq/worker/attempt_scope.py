"""The scope of an attempt: resolvers that take part in it, and resources that are closed at its end."""

import asyncio
import inspect
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from asynctasq.contracts.resolver import ExecutionScope
from asynctasq.uncancelled import uncancelled

T = TypeVar("T")
logger = logging.getLogger("asynctasq")


class AttemptScope:
    """The scope of one call, entered and left once for each piece of its code, such as `execute` and a hook."""

    __slots__ = ("_closers", "_entered", "state", "task")

    def __init__(self, task: str) -> None:
        """Make the scope for a task of that name."""
        self.task = task
        self.state: dict[object, Any] = {}
        """State of this piece of code, for code that must find its resources again."""
        self._closers: list[Callable[[], object]] = []
        self._entered: list[ExecutionScope] = []

    def add_cleanup(self, close: Callable[[], object]) -> None:
        """Call a function when the piece of code has ended."""
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
        """End a piece of code in this thread: close what it has opened."""
        while self._closers:
            self._close_here(self._closers.pop())
        self.state.clear()

    async def enter(self, execution_scopes: Sequence[ExecutionScope]) -> None:
        """Enter the scope before a piece of code runs on this loop."""
        for each in execution_scopes:
            self._entered.append(each)
            await self._guard_async(each.enter_loop)

    async def leave(self) -> None:
        """Leave the scope after a piece of code. Resources are closed even if this is cancelled meanwhile."""
        cancelled = False
        if self._closers:
            _, cancelled = await uncancelled(self._close())
        self.state.clear()
        try:
            await self._leave_resolvers()
        except asyncio.CancelledError:
            await self._leave_resolvers()  # those that are left
            raise
        if cancelled:
            raise asyncio.CancelledError

    async def _close(self) -> None:
        while self._closers:
            await self._guard_async(self._closers.pop())

    async def _leave_resolvers(self) -> None:
        while self._entered:
            await self._guard_async(self._entered.pop().leave_loop)

    def _close_here(self, close: Callable[[], object]) -> None:
        answer = self._guard(close)
        if inspect.isawaitable(answer):
            if inspect.iscoroutine(answer):
                answer.close()
            logger.error(
                "Could not run an async cleanup function of task %s, which is sync",
                self.task,
                extra={"task": self.task},
            )

    def _guard(self, step: Callable[[], T]) -> T | None:
        try:
            return step()
        except BaseException:  # `SystemExit` does not change an outcome either
            logger.exception(
                "Resolver or cleanup of task %s failed", self.task, extra={"task": self.task}
            )
            return None

    async def _guard_async(self, step: Callable[[], object]) -> None:
        try:
            answer = step()
            if inspect.isawaitable(answer):
                await answer
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException:
            logger.exception(
                "Resolver or cleanup of task %s failed", self.task, extra={"task": self.task}
            )
