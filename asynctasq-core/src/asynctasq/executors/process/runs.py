"""The work of a child for one order: on its event loop, or outside of it."""

import asyncio
import inspect
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar, cast

from asynctasq.contracts.executor import AttemptResult, Call, Raised, Rejected, Returned
from asynctasq.errors import BodyError
from asynctasq.executors.failures import (
    await_here,
    call_hook,
    classify_exception,
    run_failed,
)
from asynctasq.executors.groups import is_a
from asynctasq.executors.loop import LoopExecutor
from asynctasq.executors.process.child_application import ChildCall
from asynctasq.executors.process.frames import (
    FAILED,
    HOOK,
    JUDGE,
    RUN,
    Frame,
    Order,
    attempt_fields,
    rebuilt,
    unfit_fields,
)
from asynctasq.executors.surrounding import surrounded
from asynctasq.executors.unfinished import passes_coroutine, refuse_unfinished
from asynctasq.failures import error_info
from asynctasq.retry import retries_left
from asynctasq.settlement import ErrorInfo
from asynctasq.tasks.context import running_task

T = TypeVar("T")

KEPT_RUNS = 16
"""Limit of failed runs that are kept for their `failed` hook."""


class OrderRunner:
    """Runs orders, and keeps failed tasks until their `failed` hook has been called."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Create a runner for a loop that is stopped while an order runs outside of it."""
        self._loop = loop
        self._loop_executor = LoopExecutor()
        self._failed: OrderedDict[int, tuple[ChildCall, BaseException]] = OrderedDict()

    def remembers(self, number: int) -> bool:
        """Return whether the task of an order is kept for its `failed` hook."""
        return number in self._failed

    def call_of(self, number: int) -> ChildCall:
        """Return the call of an order that is kept."""
        return self._failed[number][0]

    async def on_loop(self, order: Order, call: ChildCall) -> Frame:
        """Run an order on the loop, and return the kind and fields of its reply."""
        running_task.set(call.current)
        if order.op == FAILED:
            return await self._hook(run_failed(call, self._failure(order), call_hook))
        try:
            if order.op == JUDGE:
                attempt = await judge_rebuilt(order, call, call_hook)
            else:
                attempt = await self._loop_executor.execute(call)
        except BodyError as error:
            return unfit_fields(error)
        self._keep(order, call, attempt)
        return attempt_fields(attempt)

    async def _hook(self, hook: Coroutine[Any, Any, None]) -> Frame:
        try:
            await hook
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            return [HOOK, error_info(error).traceback]
        return [HOOK, None]

    def here(self, order: Order, call: ChildCall) -> Frame:
        """Run an order outside of the loop, and return the kind and fields of its reply."""
        running_task.set(call.current)
        if order.op != RUN and call.has_models and order.about not in self._failed:
            return self._loop.run_until_complete(self.on_loop(order, call))
        if order.op == FAILED:
            failure = self._failure(order)
            return _finish(self._hook(run_failed(call, failure, self._call_outside)))
        if order.op == JUDGE:
            attempt = _finish(judge_rebuilt(order, call, self._call_outside))
        else:
            task = None
            try:
                task = call.load_now()
                if task is None:
                    task = self._loop.run_until_complete(call.load())
                value = call.run_here(surrounded(call, task.execute))
                if passes_coroutine(task, value):
                    value = self._loop.run_until_complete(await_here(call, value))
                refuse_unfinished(call, value)
                attempt = Returned(call.encode_result(value))
            except BaseException as error:
                if task is None and is_a(error, BodyError):
                    return unfit_fields(cast("BodyError", error))
                attempt = _finish(classify_exception(call, error, self._call_outside))
        self._keep(order, call, attempt)
        return attempt_fields(attempt)

    async def _call_outside(
        self, call: Call, method: Callable[[Exception], Any], exception: Exception
    ) -> Any:
        """Call a method outside of the loop, and run the loop only for an async one."""
        answer = call.run_here(partial(method, exception))
        if inspect.isawaitable(answer):
            return self._loop.run_until_complete(await_here(call, answer))
        return answer

    # Failed tasks are kept until their `failed` hook has been called.

    def _keep(self, order: Order, call: ChildCall, attempt: AttemptResult) -> None:
        if not isinstance(attempt, Raised | Rejected) or attempt.exception is None:
            return
        delivery = order.delivery
        left = retries_left(delivery.attempt, delivery.message.max_attempts)
        if isinstance(attempt, Raised) and attempt.retry and left:
            return
        self._failed[order.number] = (call, attempt.exception)
        if len(self._failed) > KEPT_RUNS:
            self._failed.popitem(last=False)

    def _failure(self, order: Order) -> Raised:
        """Return the failure for a hook: the original, or an equivalent one."""
        error = order.error or ErrorInfo("RuntimeError", "", "")
        known = self._failed.pop(order.about, None)
        return Raised(error, retry=False, exception=rebuilt(error) if known is None else known[1])


def _finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that does not wait for anything."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        value: T = ended.value
        return value
    coroutine.close()
    raise RuntimeError("a coroutine waits although it runs outside of the loop")


async def judge_rebuilt(order: Order, call: ChildCall, ask: Any) -> AttemptResult:
    """Return what `should_retry` says of an error that the task did not raise: a timeout or a crash."""
    assert order.error is not None
    with suppress(Exception):  # the hook is called on the instance as far as it was built
        await call.load()
    return await classify_exception(call, rebuilt(order.error), ask)
