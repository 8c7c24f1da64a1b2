"""`@task`: what may be decorated, how calls are checked, and what the options come to."""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar, cast

import pytest

from asynctasq import App, task
from asynctasq.errors import TaskDefinitionError, TaskFailed
from asynctasq.tasks.definition import ExecutionMode
from asynctasq.tasks.registry import registry
from tests.tasks.store import message_of, messages, policy_of, work

F = TypeVar("F", bound=Callable[..., Any])

untyped: Any = task


@task
async def add(first: int, second: int = 2, /, *rest: int, scale: int, **named: int) -> int:
    """Add numbers."""
    return (first + second + sum(rest) + sum(named.values())) * scale


@task
def shout(text: str) -> str:
    return text.upper()


def test_a_task_looks_like_its_function() -> None:
    assert add.__name__ == "add"
    assert add.__doc__ == "Add numbers."
    assert add.__module__ == __name__
    assert list(inspect.signature(add).parameters) == ["first", "second", "rest", "scale", "named"]


async def test_fn_is_the_plain_function() -> None:
    assert await add.fn(1, scale=10) == 30
    assert shout.fn("a") == "A"
    assert inspect.iscoroutinefunction(add.fn)


def test_calling_runs_nothing() -> None:
    ran: list[int] = []

    @task
    def note(number: int) -> None:
        ran.append(number)

    note(1)
    assert not ran


@pytest.mark.parametrize(
    "call",
    [
        lambda: untyped_add(1),
        lambda: untyped_add(scale=1),
        lambda: untyped_add(first=1, scale=1),
        lambda: untyped_shout(*()),
        lambda: untyped_shout("a", "b"),
        lambda: untyped_shout("a", text="a"),
        lambda: untyped_shout(loud=True),
    ],
)
def test_wrong_arguments_are_a_type_error_at_the_call(call: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match=r"^(add|shout)\(\) "):
        call()


untyped_add: Any = add
untyped_shout: Any = shout


async def test_wrong_arguments_are_a_type_error_at_the_shorthand_too(app: App) -> None:
    with pytest.raises(TypeError, match=r"shout\(\) missing 1 required positional argument"):
        await untyped_shout.dispatch()
    assert not await messages(app)


async def test_every_kind_of_argument_arrives(app: App) -> None:
    handles = [
        await add(1, scale=1).dispatch(),
        await add(1, 3, 5, scale=2, other=7).dispatch(),
        await add.dispatch(1, scale=1, self=4, cls=5, function=6),
    ]
    await work(app)
    assert [await handle.result(timeout=30) for handle in handles] == [3, 32, 18]


@pytest.mark.parametrize(
    ("is_async", "process", "mode"),
    [
        (True, False, ExecutionMode.LOOP),
        (False, False, ExecutionMode.THREAD),
        (True, True, ExecutionMode.PROCESS),
        (False, True, ExecutionMode.PROCESS),
    ],
)
def test_mode_follows_from_function_and_process(
    is_async: bool, process: bool, mode: ExecutionMode
) -> None:
    async def asynchronous() -> None: ...

    def plain() -> None: ...

    made = untyped(process=process)(asynchronous if is_async else plain)
    definition = registry.find(made.name)
    assert (definition.mode, definition.is_async) == (mode, is_async)


async def test_options_of_the_decorator_are_in_the_message(app: App) -> None:
    @task(
        queue="emails",
        max_attempts=5,
        retry_delay=120,
        retry_strategy="exponential",
        timeout=30,
        priority=8,
        expires=60,
        result_ttl=10,
        max_lost=0,
    )
    async def configured() -> None: ...

    message = await message_of(app, configured())
    assert (message.queue, message.max_attempts, message.priority) == ("emails", 5, 8)
    assert (message.expires, message.result_ttl, message.max_lost) == (60, 10, 0)
    policy = policy_of(app, message)
    assert (policy.retry_delay, policy.retry_strategy, policy.timeout) == (120, "exponential", 30)


async def test_bare_decorator_takes_the_defaults(app: App) -> None:
    message = await message_of(app, shout("a"))
    assert (message.queue, message.max_attempts, message.priority) == ("default", 3, 5)
    policy = policy_of(app, message)
    assert (policy.retry_delay, policy.retry_strategy, policy.timeout) == (60, "fixed", None)


async def nothing() -> None: ...


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


class Klass:
    pass


@pytest.mark.parametrize(
    ("decorated", "said"),
    [
        (generator, "generator must return one value"),
        (async_generator, "async_generator must return one value"),
        (Klass, "subclass AsyncTask"),
        (staticmethod(nothing), "write @task below"),
        (classmethod(cast("Any", nothing)), "@task must decorate a function"),
        (functools.partial(nothing), "@task must decorate a function"),
        (Klass(), "@task must decorate a function"),
        (print, "@task must decorate a function"),
        ("emails", "@task must decorate a function"),
        (shout, "@task must decorate a function"),
    ],
)
def test_task_decorates_only_functions(decorated: object, said: str) -> None:
    with pytest.raises(TaskDefinitionError, match=said):
        untyped(decorated)


async def test_static_method_that_is_a_task(app: App) -> None:
    class Mailer:
        @staticmethod
        @task
        async def send(to: str) -> str:
            return f"to {to}"

    handle = await Mailer.send("a").dispatch()
    await work(app)
    assert await handle.result(timeout=30) == "to a"


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"que": "a"}, TypeError, r"@task on nothing got an unknown option 'que'.*'queue'"),
        ({"proces": True}, TypeError, "Did you mean 'process'"),
        ({"retry_one": ValueError}, TypeError, "Did you mean 'retry_on'"),
        ({"delay": 5}, TypeError, "unknown option 'delay'"),
        ({"countdown": 5}, TypeError, r"`delay` is an option of a single dispatch"),
        ({"depends_on": []}, TypeError, r"call `\.options\(after=\.\.\.\)` before"),
        ({"zzz": 5}, TypeError, "Options are .*queue"),
        ({"queue": "a b"}, ValueError, "queue must be 1 to 80 characters .*, got 'a b'"),
        ({"queue": ""}, ValueError, "queue must be 1 to 80 characters"),
        ({"queue": 5}, ValueError, "queue must be 1 to 80 characters"),
        ({"max_attempts": -1}, ValueError, "0 to 2,147,483,647"),
        ({"max_attempts": 2**31}, ValueError, "0 to 2,147,483,647"),
        (
            {"timeout": 10**5000},
            ValueError,
            "timeout must be greater than 0 and at most .*, got <int>",
        ),
        ({"max_attempts": 1.5}, TypeError, "must be an integer"),
        ({"max_attempts": True}, TypeError, "must be an integer"),
        ({"max_attempts": 2**31}, ValueError, "max_attempts"),
        ({"retry_delay": -1}, ValueError, "at least 0"),
        ({"retry_delay": "60"}, TypeError, "must be a number"),
        ({"retry_delay": None}, TypeError, "must be a number"),
        ({"retry_delay": float("nan")}, ValueError, "at least 0"),
        ({"retry_delay": float("inf")}, ValueError, "at most"),
        ({"retry_strategy": "linear"}, ValueError, "'fixed' or 'exponential'"),
        ({"retry_factor": 0.5}, ValueError, "at least 1"),
        ({"retry_jitter": 1.5}, ValueError, "0 to 1"),
        ({"timeout": 0}, ValueError, "greater than 0"),
        ({"timeout": -5}, ValueError, "greater than 0"),
        ({"priority": 10}, ValueError, "0 to 9"),
        ({"priority": -1}, ValueError, "0 to 9"),
        ({"expires": 0}, ValueError, "greater than 0"),
        ({"result_ttl": -1}, ValueError, "at least 0"),
        ({"name": ""}, TypeError, "must be a non-empty string"),
        ({"name": 5}, TypeError, "must be a non-empty string"),
        ({"process": "yes"}, TypeError, "True or False"),
        ({"retry_on": "ValueError"}, TypeError, "an exception type"),
        ({"retry_on": [ValueError]}, TypeError, "an exception type"),
        ({"retry_on": int}, TypeError, "an exception type"),
        ({"retry_on": (ValueError, 5)}, TypeError, "an exception type"),
        ({"on_failure": "log"}, TypeError, "a function that takes the exception"),
    ],
)
def test_wrong_options_name_task_option_and_remedy(
    options: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said) as caught:
        untyped(**options)(nothing)
    assert "@task on nothing" in str(caught.value)


def test_timeout_and_expires_may_be_none() -> None:
    task(timeout=None, expires=None)(nothing)


async def test_none_beats_a_default_that_is_set(app: App) -> None:
    import asynctasq

    @task
    async def unset() -> None: ...

    @task(timeout=None)
    async def none() -> None: ...

    await app.close()
    with_default = asynctasq.init({"driver": "memory", "default_timeout": 5})
    calls = [unset(), none(), unset().options(timeout=None), none().options(timeout=2)]
    asked = [
        policy_of(with_default, await message_of(with_default, each)).timeout for each in calls
    ]
    await with_default.close()
    assert asked == [5, None, None, 2]


class _Gone(OSError):
    pass


def only_gone(error: Exception) -> bool:
    return isinstance(error, _Gone)


async def only_gone_async(error: Exception) -> bool:
    return isinstance(error, _Gone)


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
@pytest.mark.parametrize(
    "rule",
    [_Gone, (KeyError, _Gone), only_gone, only_gone_async],
    ids=["class", "classes", "function", "coroutine function"],
)
@pytest.mark.parametrize(("error", "runs"), [(_Gone(), 3), (OSError(), 1)], ids=["listed", "not"])
async def test_retry_on_says_what_is_worth_a_retry(
    app: App, is_async: bool, rule: Any, error: Exception, runs: int
) -> None:
    ran: list[int] = []

    async def asynchronous() -> None:
        ran.append(1)
        raise error

    def plain() -> None:
        ran.append(1)
        raise error

    made = untyped(retry_on=rule, retry_delay=0)(asynchronous if is_async else plain)
    handle = await made().dispatch()
    await work(app)
    assert len(ran) == runs
    with pytest.raises(TaskFailed):
        await handle.result(timeout=30)


@pytest.mark.parametrize("handler_is_async", [True, False], ids=["async", "sync"])
@pytest.mark.parametrize("is_async", [True, False], ids=["on the loop", "in a thread"])
async def test_on_failure_is_called_once_with_the_original_error(
    app: App, is_async: bool, handler_is_async: bool
) -> None:
    error = ValueError("original")
    heard: list[Exception] = []

    async def asynchronous() -> None:
        raise error

    def plain() -> None:
        raise error

    async def hear_async(exception: Exception) -> None:
        heard.append(exception)

    made = untyped(
        on_failure=hear_async if handler_is_async else heard.append, max_attempts=2, retry_delay=0
    )(asynchronous if is_async else plain)
    await made().dispatch()
    await work(app)
    assert heard == [error]
    assert heard[0] is error


async def test_calls_have_the_hooks_of_class_tasks(app: App) -> None:
    call = shout("a")
    assert call.should_retry(ValueError()) is True
    await call.failed(ValueError())


def passing(function: F) -> F:
    """Return a decorated function that returns what the function returns, a coroutine if that is async."""

    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return cast("F", wrapper)


def blocking(function: Any) -> Any:
    """Make an async function sync."""

    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return asyncio.run(function(*args))

    return wrapper


WRAPPED = {"once": [passing], "twice": [passing, passing], "blocking": [blocking]}


@pytest.mark.parametrize("how", WRAPPED)
@pytest.mark.parametrize("timeout", [None, 30])
async def test_a_sync_decorator_may_wrap_an_async_function(
    app: App, how: str, timeout: float | None
) -> None:
    async def sum_of(one: int, other: int) -> int:
        await asyncio.sleep(0)
        return one + other

    wrapped: Any = sum_of
    for decorator in WRAPPED[how]:
        wrapped = decorator(wrapped)
    made = task(name=f"sum-{how}-{timeout}", max_attempts=1, timeout=timeout)(wrapped)
    handle = await made(1, 2).dispatch()
    await work(app)
    assert await handle.result(timeout=30) == 3


async def test_a_wrapped_async_function_is_cancelled_at_its_timeout(app: App) -> None:
    @task(max_attempts=1, timeout=0.01)
    @passing
    async def waits() -> None:
        await asyncio.Event().wait()

    handle = await waits.dispatch()
    await work(app)
    with pytest.raises(TaskFailed, match="timeout"):
        await handle.result(timeout=30)


async def test_a_decorator_may_pass_an_argument(app: App) -> None:
    def with_session(
        function: Callable[..., Coroutine[Any, Any, str]],
    ) -> Callable[..., Coroutine[Any, Any, str]]:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> str:
            return await function("session", *args, **kwargs)

        return wrapper

    @task(max_attempts=1)
    @with_session
    async def save(session: str, name: str) -> str:
        return f"{name} in {session}"

    handles = [await save.dispatch("ada"), await save.dispatch(name="ada")]
    await work(app)
    assert [await each.result(timeout=30) for each in handles] == ["ada in session"] * 2


def test_arguments_that_the_decorator_does_not_accept_are_refused() -> None:
    def named(
        function: Callable[..., Coroutine[Any, Any, None]],
    ) -> Callable[..., Coroutine[Any, Any, None]]:
        @functools.wraps(function)
        async def wrapper(name: str, *, times: int = 1) -> None:
            await function("session", name * times)

        return wrapper

    @task
    @named
    async def save(session: str, name: str) -> None: ...

    save("ada", times=2)
    with pytest.raises(TypeError, match="positional"):
        save("session", "ada")


async def test_an_uncalled_task_cannot_be_dispatched_as_one_of_many(app: App) -> None:
    broken: Any = shout
    with pytest.raises(TypeError, match="Call the task first"):
        await app.dispatch_many([broken])
    with pytest.raises(TypeError, match="Call the task first"):
        await app.dispatch(broken)
