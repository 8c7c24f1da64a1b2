"""Class tasks: what travels, what is captured, which names are free and which are not."""

import functools
import warnings
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from asynctasq import App, AsyncProcessTask, AsyncTask, BaseTask, SyncProcessTask, SyncTask
from asynctasq.errors import TaskDefinitionError, TaskFailed
from asynctasq.tasks.definition import ExecutionMode, definition_of
from tests.tasks.store import message_of, messages, policy_of, work

FREE_NAMES = [
    "data", "items", "url", "key", "name", "id", "args", "kwargs", "config", "status", "result",
    "queue", "priority", "timeout", "headers", "unique", "task", "message", "attempt", "state",
    "cls", "arguments", "overrides", "definition", "mode", "handle", "run", "after", "eta",
]  # fmt: skip
METHODS = ["delay", "dispatch", "dispatch_sync", "on_queue", "options", "retry_after"]
HOOKS = ["execute", "failed", "should_retry"]


class Captures(AsyncTask[list[object]]):
    """Takes arguments in every way."""

    def __init__(
        self, first: int, /, second: int, *rest: int, third: int = 3, **named: object
    ) -> None:
        super().__init__(**named)
        self.seen: list[object] = [first, second, list(rest), third, sorted(named)]

    async def execute(self) -> list[object]:
        return self.seen


@pytest.mark.parametrize(
    ("task", "seen"),
    [
        (Captures(1, 2), [1, 2, [], 3, []]),
        (Captures(1, second=2), [1, 2, [], 3, []]),
        (Captures(1, 2, 4, 5, third=6), [1, 2, [4, 5], 6, []]),
        (Captures(1, 2, extra=7, cls=8), [1, 2, [], 3, ["cls", "extra"]]),
    ],
)
async def test_constructor_arguments_arrive(app: App, task: Captures, seen: list[object]) -> None:
    assert task.seen == seen
    handle = await task.dispatch()
    await work(app)
    assert await handle.result(timeout=30) == seen


def test_wrong_arguments_are_a_type_error_at_the_caller() -> None:
    untyped: Any = Captures
    for args, kwargs in (((), {}), ((1,), {}), ((1, 2), {"second": 3})):
        with pytest.raises(TypeError):
            untyped(*args, **kwargs)


class Unannotated(AsyncTask[dict[str, object]]):
    """A class without a constructor and annotations."""

    async def execute(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


Plain: Any = Unannotated  # type checkers find no fields in it


async def test_unknown_keyword_arguments_become_attributes(app: App) -> None:
    given = dict.fromkeys(FREE_NAMES, "mine")
    task = Plain(**given)
    assert [getattr(task, name) for name in FREE_NAMES] == ["mine"] * len(FREE_NAMES)
    handle = await task.dispatch()
    await work(app)
    assert await handle.result(timeout=30) == given


async def test_fields_of_those_names_set_no_option(app: App) -> None:
    message = await message_of(app, Plain(queue="other", priority=9, timeout=1, headers={"a": "b"}))
    assert (message.queue, message.priority, dict(message.headers)) == ("default", 5, {})
    assert policy_of(app, message).timeout is None


@pytest.mark.parametrize("name", ["_private", "_task_id", "__dict__", "_arguments"])
def test_a_leading_underscore_is_reserved(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name}.*leading underscore"):
        Plain(**{name: 1})


@pytest.mark.parametrize("name", METHODS + HOOKS)
def test_keyword_argument_that_would_hide_a_method_is_refused(name: str) -> None:
    with pytest.raises(
        TaskDefinitionError, match=f"Unannotated cannot have a field named '{name}'"
    ):
        Plain(**{name: 1})


@pytest.mark.parametrize("name", METHODS)
def test_field_that_would_hide_a_method_is_refused_where_it_is_set(name: str) -> None:
    with pytest.raises(TaskDefinitionError, match=f"field named '{name}'"):
        setattr(Plain(), name, 1)


@pytest.mark.parametrize("name", HOOKS)
async def test_field_that_hides_a_hook_is_refused_at_dispatch(app: App, name: str) -> None:
    task = Plain()
    setattr(task, name, 1)
    with pytest.raises(
        TaskDefinitionError, match=f"Unannotated cannot have a field named '{name}'"
    ):
        await task.dispatch()
    assert not await messages(app)


@pytest.mark.parametrize("name", METHODS)
def test_class_that_redefines_a_method_of_every_task_is_refused(name: str) -> None:
    with pytest.raises(TaskDefinitionError, match=f"Broken cannot define '{name}'"):
        type("Broken", (Plain,), {name: 5})


@pytest.mark.parametrize("name", HOOKS)
def test_class_field_with_the_name_of_a_hook_is_refused(name: str) -> None:
    with pytest.raises(TaskDefinitionError, match=f"Broken cannot have a field named '{name}'"):
        type("Broken", (Plain,), {name: False})


class Forgetful(AsyncTask[str]):
    def __init__(self, url: str) -> None:
        self.url = url

    async def execute(self) -> str:
        return f"{self.url} {self._current_attempt}"


async def test_forgotten_super_init_does_no_harm(app: App) -> None:
    handle = await Forgetful("a").on_queue("q").options(priority=7).dispatch()
    [message] = await messages(app)
    assert (message.queue, message.priority) == ("q", 7)
    await work(app, queues=["q"])
    assert await handle.result(timeout=30) == "a 0"


@dataclass
class Invoice(AsyncTask[str]):
    number: int
    lines: list[str] = field(default_factory=list)

    queue = "invoices"

    async def execute(self) -> str:
        return f"{self.number}: {', '.join(self.lines)}"


@dataclass(frozen=True)
class FrozenInvoice(SyncTask[str]):
    number: int

    def execute(self) -> str:
        assert self._task_id is not None
        return f"{self.number} after {self._current_attempt}"


@dataclass(kw_only=True, slots=True, eq=False)
class SlottedInvoice(AsyncTask[int]):
    number: int = 1

    async def execute(self) -> int:
        return self.number


@pytest.mark.parametrize(
    ("task", "returned"),
    [
        (Invoice(5), "5: "),
        (Invoice(5, ["a", "b"]), "5: a, b"),
        (Invoice(number=5, lines=["a"]), "5: a"),
        (FrozenInvoice(7), "7 after 0"),
        (SlottedInvoice(number=9), 9),
        (SlottedInvoice(), 1),
    ],
)
async def test_dataclasses_are_tasks(app: App, task: BaseTask[object], returned: object) -> None:
    handle = await task.options(priority=6).dispatch()
    assert task._task_id == handle
    await work(app)
    assert await handle.result(timeout=30) == returned


async def test_options_are_class_attributes_also_inherited(app: App) -> None:
    class Parent(Unannotated):
        queue = "parents"
        max_attempts = 7
        timeout: float | None = 5.0

    class Child(Parent):
        queue = "children"
        timeout = None

    message = await message_of(app, Child())
    assert (message.queue, message.max_attempts) == ("children", 7)
    assert policy_of(app, message).timeout is None


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        (
            {"queue": "no spaces"},
            ValueError,
            "The task class Broken: queue must .*, got 'no spaces'",
        ),
        (
            {"max_attempts": "3"},
            TypeError,
            "The task class Broken: max_attempts must be an integer, got '3'",
        ),
        ({"timeout": 0}, ValueError, "greater than 0"),
    ],
)
def test_wrong_class_options_are_errors_at_the_definition(
    body: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        type("Broken", (Plain,), body)


def test_misspelt_class_option_is_warned_of_where_it_is_written() -> None:
    with pytest.warns(
        UserWarning, match="Misspelt.max_atempts is not an option.*'max_attempts'"
    ) as told:

        class Misspelt(Unannotated):
            max_atempts = 5

    assert Misspelt.max_atempts == 5
    assert told[0].filename == __file__


def test_an_option_of_another_queue_is_warned_about_with_the_option_to_use() -> None:
    with pytest.warns(UserWarning, match="retries is not an option.*Use `max_attempts`"):

        class Retrying(Unannotated):
            retries = 3

    assert Retrying.retries == 3


def test_other_class_attributes_are_left_alone() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        class WithConstants(Unannotated):
            LIMIT = 5
            url = "https://example.com"
            _que = "private"

        assert WithConstants.LIMIT == 5


@pytest.mark.parametrize(
    ("base", "mode", "is_async"),
    [
        (AsyncTask, ExecutionMode.LOOP, True),
        (SyncTask, ExecutionMode.THREAD, False),
        (AsyncProcessTask, ExecutionMode.PROCESS, True),
        (SyncProcessTask, ExecutionMode.PROCESS, False),
    ],
)
def test_mode_follows_from_the_base_class(
    base: type[BaseTask[None]], mode: ExecutionMode, is_async: bool
) -> None:
    async def execute_async(self: object) -> None: ...

    def execute(self: object) -> None: ...

    made: Any = type("Made", (base,), {"execute": execute_async if is_async else execute})
    definition = definition_of(made)
    assert definition is not None
    assert (definition.mode, definition.is_async) == (mode, is_async)


async def a_coroutine(self: object) -> None: ...


def a_function(self: object) -> None: ...


def a_generator(self: object) -> Iterator[int]:
    yield 1


async def an_async_generator(self: object) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("base", "execute", "said"),
    [
        (SyncTask, a_coroutine, "execute is async.*Subclass AsyncTask"),
        (SyncProcessTask, a_coroutine, "execute is async"),
        (AsyncTask, a_function, "Write `async def execute`, or subclass SyncTask"),
        (AsyncProcessTask, a_function, "Write `async def execute`"),
        (SyncTask, a_generator, "must return one value, got a generator"),
        (AsyncTask, an_async_generator, "must return one value, got a generator"),
    ],
)
def test_execute_of_the_wrong_kind_is_refused(
    base: type[BaseTask[None]], execute: object, said: str
) -> None:
    with pytest.raises(TaskDefinitionError, match=said):
        type("Broken", (base,), {"execute": execute})


async def test_execute_may_be_wrapped(app: App) -> None:
    def logged(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(self: object) -> Any:
            return function(self)

        return wrapper

    class Wrapped(AsyncTask[int]):
        @logged
        async def execute(self) -> int:
            return 1

    handle = await Wrapped().dispatch()
    await work(app)
    assert await handle.result(timeout=30) == 1


async def test_abstract_task_cannot_be_dispatched(app: App) -> None:
    class Abstract(AsyncTask[None]):
        queue = "somewhere"

    class Concrete(Abstract):
        async def execute(self) -> None: ...

    with pytest.raises(TaskDefinitionError, match=r"Abstract must define execute\(\)"):
        await Abstract().dispatch()
    assert (await message_of(app, Concrete())).queue == "somewhere"


async def test_execute_may_come_from_a_mixin(app: App) -> None:
    class Mixin:
        async def execute(self) -> str:
            return type(self).__name__

    class Mixed(Mixin, AsyncTask[str]):
        pass

    handle = await Mixed().dispatch()
    await work(app)
    assert await handle.result(timeout=30) == "Mixed"


# Metadata and hooks.


class Watched(BaseTask[None]):
    """Writes down what it knows at every moment."""

    seen: ClassVar[list[tuple[str, str | None, int, datetime | None]]]

    def note(self, moment: str) -> None:
        self.seen.append((moment, self._task_id, self._current_attempt, self._dispatched_at))


class WatchedAsync(Watched, AsyncTask[None]):
    seen: ClassVar[list[tuple[str, str | None, int, datetime | None]]] = []
    retry_delay = 0

    def __init__(self, fails: int) -> None:
        self.fails = fails
        self.note("__init__")

    async def execute(self) -> None:
        self.note("execute")
        if self._current_attempt < self.fails:
            raise OSError("again")

    def should_retry(self, exception: Exception) -> bool:
        self.note("should_retry")
        return True

    async def failed(self, exception: Exception) -> None:
        self.note("failed")


class WatchedSync(Watched, SyncTask[None]):
    seen: ClassVar[list[tuple[str, str | None, int, datetime | None]]] = []
    retry_delay = 0

    def __init__(self, fails: int) -> None:
        self.fails = fails
        self.note("__init__")

    def execute(self) -> None:
        self.note("execute")
        if self._current_attempt < self.fails:
            raise OSError("again")

    async def should_retry(self, exception: Exception) -> bool:
        self.note("should_retry")
        return True

    def failed(self, exception: Exception) -> None:
        self.note("failed")


RUN = ["__init__", "execute"]


@pytest.mark.parametrize("kind", [WatchedAsync, WatchedSync])
@pytest.mark.parametrize(
    ("fails", "moments"),
    [
        (0, RUN),
        (1, [*RUN, "should_retry", *RUN]),
        (9, [*RUN, "should_retry", *RUN, "should_retry", *RUN, "should_retry", "failed"]),
    ],
)
async def test_metadata_is_there_whenever_the_users_code_runs(
    app: App, kind: type[WatchedAsync] | type[WatchedSync], fails: int, moments: list[str]
) -> None:
    task = kind(fails)
    assert (task._task_id, task._current_attempt, task._dispatched_at) == (None, 0, None)
    kind.seen.clear()
    handle = await task.dispatch()
    assert task._task_id == handle
    await work(app)
    assert [moment for moment, *_ in kind.seen] == moments
    attempt = -1
    for moment, task_id, current, dispatched_at in kind.seen:
        attempt += moment == "__init__"
        assert (task_id, current) == (handle, attempt)
        assert dispatched_at is not None
        assert dispatched_at.tzinfo is UTC
        assert abs(datetime.now(UTC) - dispatched_at) < timedelta(hours=1)


class Hooked(AsyncTask[None]):
    async def execute(self) -> None:
        raise ValueError


class SyncHooks(Hooked):
    told: Exception | None = None

    def failed(self, exception: Exception) -> None:
        self.told = exception
        super().failed(exception)

    def should_retry(self, exception: Exception) -> bool:
        return isinstance(exception, OSError)


class AsyncHooks(Hooked):
    told: Exception | None = None

    async def failed(self, exception: Exception) -> None:
        await super().failed(exception)
        self.told = exception

    async def should_retry(self, exception: Exception) -> bool:
        return bool(super().should_retry(exception)) and isinstance(exception, OSError)


async def test_hooks_can_be_called_on_bare_instances() -> None:
    error = ValueError()
    base = Hooked()
    assert base.should_retry(error) is True
    assert await base.failed(error) is None

    sync = SyncHooks()
    assert sync.should_retry(error) is False
    sync.failed(error)
    assert sync.told is error

    asynchronous = AsyncHooks()
    assert await asynchronous.should_retry(error) is False
    assert await asynchronous.should_retry(OSError()) is True
    await asynchronous.failed(error)
    assert asynchronous.told is error


def test_base_failed_is_a_coroutine_for_asyncio_run() -> None:
    import asyncio

    asyncio.run(Hooked().failed(ValueError()))


@pytest.mark.parametrize("kind", [SyncHooks, AsyncHooks])
async def test_hooks_decide_in_the_worker(app: App, kind: type[Hooked]) -> None:
    handle = await kind().dispatch()
    await work(app)
    with pytest.raises(TaskFailed, match="ValueError"):
        await handle.result(timeout=30)


async def test_an_instance_dispatched_twice_makes_two_messages(app: App) -> None:
    task = Plain(number=1)
    first, second = await task.dispatch(), await task.dispatch()
    assert first != second
    assert len(await messages(app)) == 2
    assert task._task_id == second


async def test_what_changes_after_construction_does_not_travel(app: App) -> None:
    task = Plain(number=1)
    task.__dict__["number"] = 2
    handle = await task.dispatch()
    await work(app)
    assert await handle.result(timeout=30) == {"number": 1}


async def test_chaining_returns_the_same_task_in_any_order(app: App) -> None:
    task = Plain()
    assert task.delay(5).retry_after(7).on_queue("a").on_queue("b").options(max_attempts=2) is task
    message = await message_of(app, task)
    assert (message.queue, message.delay, message.max_attempts) == ("b", 5, 2)
    assert policy_of(app, message).retry_delay == 7


class Counted:
    def __new__(cls, *args: Any) -> Any:
        return super().__new__(cls)


async def nothing(self: object) -> None: ...


@pytest.mark.parametrize(
    ("bases", "members"), [((AsyncTask,), {"__new__": Counted.__new__}), ((Counted, AsyncTask), {})]
)
def test_a_new_of_its_own_is_refused_where_the_class_is_defined(
    bases: tuple[type, ...], members: dict[str, Any]
) -> None:
    with pytest.raises(TaskDefinitionError, match="Single must not define __new__"):
        type("Single", bases, {"execute": nothing, **members})


async def test_a_decorated_constructor_accepts_what_its_decorator_accepts(app: App) -> None:
    def with_session(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
            function(self, "session", *args, **kwargs)

        return wrapper

    class Save(AsyncTask[str]):
        @with_session
        def __init__(self, session: str, name: str) -> None:
            self.said = f"{name} in {session}"

        async def execute(self) -> str:
            return self.said

    handle = await Save("ada").dispatch()
    await work(app)
    assert await handle.result(timeout=30) == "ada in session"


@pytest.mark.parametrize("method", ["dispatch", "dispatch_sync", "options", "delay"])
async def test_a_method_of_the_class_asks_for_the_arguments_first(method: str) -> None:
    async def call() -> None:
        answer = getattr(Unannotated, method)(order=2)
        await answer

    with pytest.raises(TypeError, match=rf"Write `Unannotated\(\.\.\.\)\.{method}\(\)`"):
        await call()
    assert Unannotated.options(Plain(order=2), queue="a").__class__ is Unannotated
