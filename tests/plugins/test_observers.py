"""Observers watch and change nothing; wrappers may."""

import asyncio
import contextlib
import functools
import inspect
import logging
from typing import Any

import pytest

from asynctasq import hookspecs
from asynctasq.contracts.executor import AttemptResult, Call, Returned, Wrapper
from asynctasq.errors import PluginBroken
from asynctasq.hookspecs import DispatchContext, WorkerContext, hookimpl
from asynctasq.message import Message
from asynctasq.plugins import PluginRegistry
from asynctasq.plugins.observers import OBSERVER_HOOKS, Observers
from tests.plugins.conftest import Site

CONTEXT = WorkerContext(worker_id="w", queues=("default",), concurrency=1)
CALL: Any = object()


def observers_of(*plugins: object) -> Observers:
    registry = PluginRegistry()
    for plugin in plugins:
        registry.register(plugin)
    return Observers(registry.hooks())


class Named:
    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log


class Plain(Named):
    @hookimpl
    def worker_started(self, context: WorkerContext) -> None:
        self.log.append(f"{self.name} {context.worker_id}")


class Awaited(Named):
    @hookimpl
    async def worker_started(self, context: WorkerContext) -> None:
        await asyncio.sleep(0)
        self.log.append(f"{self.name} {context.worker_id}")


class First(Named):
    @hookimpl(tryfirst=True)
    def worker_started(self) -> None:
        self.log.append(self.name)


class Last(Named):
    @hookimpl(trylast=True)
    def worker_started(self) -> None:
        self.log.append(self.name)


class Failing(Named):
    @hookimpl
    def worker_started(self) -> None:
        raise LookupError(f"{self.name} is lost")


class FailingLater(Named):
    @hookimpl
    async def worker_started(self) -> None:
        await asyncio.sleep(0)
        raise LookupError(f"{self.name} is lost")


def test_every_observer_hook_has_its_tuple() -> None:
    specified = {
        name
        for name, function in vars(hookspecs).items()
        if hasattr(function, "asynctasq_spec")
        and "context" in inspect.signature(function).parameters
    }
    assert set(OBSERVER_HOOKS) == specified


def test_without_plugins_there_is_nothing_to_call() -> None:
    observers = Observers()
    assert not any(getattr(observers, hook) for hook in OBSERVER_HOOKS)

    async def call(_: Call) -> AttemptResult:
        return Returned(b"")

    assert observers.wrap(call) is call


async def test_observers_run_in_turn_plain_or_async() -> None:
    log: list[str] = []
    observers = observers_of(
        Last("z", log), Awaited("a", log), Plain("b", log), First("c", log), Awaited("d", log)
    )
    assert [each.is_async for each in observers.worker_started] == [False, True, False, True, False]
    await observers.notify(observers.worker_started, CONTEXT)
    assert log == ["c", "a w", "b w", "d w", "z"]
    assert not observers.worker_stopped


async def test_one_that_raises_is_logged_by_name_and_stops_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log: list[str] = []
    registry = PluginRegistry()
    registry.register(Failing("plain", log), name="bad")
    registry.register(FailingLater("awaited", log), name="worse")
    registry.register(Plain("good", log))
    observers = Observers(registry.hooks())
    with caplog.at_level(logging.ERROR, "asynctasq.plugins"):
        await observers.notify(observers.worker_started, CONTEXT)
    assert log == ["good w"]
    first, second = caplog.records
    assert first.getMessage().startswith("Plugin bad (this application) raised in worker_started")
    assert second.getMessage().startswith("Plugin worse (this application) raised")
    assert first.exc_info is not None
    assert isinstance(first.exc_info[1], LookupError)


async def test_being_cancelled_is_not_swallowed() -> None:
    begun = asyncio.Event()

    class Endless:
        @hookimpl
        async def worker_started(self) -> None:
            begun.set()
            await asyncio.Event().wait()

    observers = observers_of(Endless())
    running = asyncio.create_task(observers.notify(observers.worker_started, CONTEXT))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_plain_function_that_returns_a_coroutine_is_awaited() -> None:
    log: list[str] = []

    def decorated(function: Any) -> Any:
        @functools.wraps(function)
        def inner(*args: Any) -> Any:
            return function(*args)

        return inner

    class Wrapped:
        @hookimpl
        @decorated
        async def worker_started(self, context: WorkerContext) -> None:
            await asyncio.sleep(0)
            log.append(context.worker_id)

    observers = observers_of(Wrapped())
    await observers.notify(observers.worker_started, CONTEXT)
    assert log == ["w"]


async def test_headers_may_be_added_before_a_dispatch() -> None:
    class Tracing:
        @hookimpl
        async def before_dispatch(self, context: DispatchContext) -> None:
            await asyncio.sleep(0)
            context.headers["traceparent"] = context.message.task

    observers = observers_of(Tracing())
    message = Message(id=b"0" * 16, queue="default", task="app.send", body=b"")
    context = DispatchContext(message=message, headers={})
    await observers.notify(observers.before_dispatch, context)
    assert context.headers == {"traceparent": "app.send"}


async def test_one_plugin_may_have_two_functions_for_a_hook() -> None:
    log: list[str] = []

    class Twice:
        @hookimpl(specname="worker_started")
        def count(self) -> None:
            log.append("count")

        @hookimpl(specname="worker_started")
        def greet(self, context: WorkerContext) -> None:
            log.append(context.worker_id)

    observers = observers_of(Twice())
    await observers.notify(observers.worker_started, CONTEXT)
    assert sorted(log) == ["count", "w"]


class Around(Named):
    @hookimpl
    def wrap_execute(self, call_next: Wrapper) -> Wrapper:
        return self.around(call_next)

    def around(self, call_next: Wrapper) -> Wrapper:
        async def run(call: Call) -> AttemptResult:
            self.log.append(f"{self.name} in")
            try:
                return await call_next(call)
            finally:
                self.log.append(f"{self.name} out")

        return run


class AroundAll(Around):
    @hookimpl(tryfirst=True)
    def wrap_execute(self, call_next: Wrapper) -> Wrapper:
        return self.around(call_next)


async def test_the_first_registered_wrapper_is_the_outermost() -> None:
    log: list[str] = []

    async def call(given: Call) -> AttemptResult:
        assert given is CALL
        log.append("run")
        return Returned(b"done")

    wrapped = observers_of(Around("a", log), Around("b", log), AroundAll("first", log)).wrap(call)
    assert await wrapped(CALL) == Returned(b"done")
    assert log == ["first in", "a in", "b in", "run", "b out", "a out", "first out"]


async def test_a_wrapper_may_change_the_outcome_and_repeat_the_call() -> None:
    runs: list[Call] = []

    class Twice:
        @hookimpl
        def wrap_execute(self, call_next: Wrapper) -> Wrapper:
            async def run(call: Call) -> AttemptResult:
                with contextlib.suppress(ConnectionError):
                    return await call_next(call)
                await call_next(call)
                return Returned(b"changed")

            return run

    async def call(given: Call) -> AttemptResult:
        runs.append(given)
        if len(runs) == 1:
            raise ConnectionError
        return Returned(b"done")

    assert await observers_of(Twice()).wrap(call)(CALL) == Returned(b"changed")
    assert len(runs) == 2


@pytest.mark.parametrize(
    "result, problem",
    [(None, "returned None, not a function"), (ValueError("no"), "ValueError: no")],
)
def test_a_wrapper_that_cannot_be_made_is_broken(result: object, problem: str) -> None:
    class Bad:
        @hookimpl
        def wrap_execute(self, call_next: Wrapper) -> Any:
            if isinstance(result, Exception):
                raise result
            return result

    async def call(_: Call) -> AttemptResult:
        return Returned(b"")

    with pytest.raises(PluginBroken, match=r"of this application.*wrap_execute") as caught:
        observers_of(Bad()).wrap(call)
    assert problem in str(caught.value)


async def test_installed_hooks_come_before_local_ones(site: Site) -> None:
    source = """
        from asynctasq.hookspecs import hookimpl

        log = []

        @hookimpl
        async def worker_started(context):
            log.append("{name}")
    """
    for name in ("zebra", "antelope"):
        site.install(
            f"{name}-hooks",
            f"[asynctasq.hooks]\n{name} = {name}\n",
            {name: source.replace("{name}", name)},
        )
    observers = observers_of(Plain("local", []))
    assert [each.plugin.partition(" ")[0] for each in observers.worker_started] == [
        "antelope",
        "zebra",
        f"{Plain.__module__}.{Plain.__qualname__}",
    ]
    await observers.notify(observers.worker_started, CONTEXT)
