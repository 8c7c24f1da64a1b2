"""Task classes that annotate their fields in place of a constructor."""

import inspect
from collections.abc import Callable
from dataclasses import KW_ONLY, InitVar, dataclass, field
from typing import Any, ClassVar, Final, Generic, TypeVar

import pytest

import asynctasq
from asynctasq import App, AsyncTask, SyncTask
from asynctasq.errors import TaskDefinitionError, TaskFailed
from asynctasq.tasks.definition import definition_of
from tests.tasks.store import message_of, work

T = TypeVar("T")


class Mail(AsyncTask[str]):
    kind: ClassVar[str] = "mail"

    to: str
    subject: str = "hello"
    lines: list[str] = field(default_factory=list)
    urgent: Final[bool] = False
    sent: bool = field(default=False, init=False)
    max_attempts: int = 1
    _cache: int = 0

    async def execute(self) -> str:
        return f"{self.to} {self.subject} {self.lines} {self.urgent} {self.sent}"


Call = Callable[[Any], object]


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (lambda mail: mail(to="a"), "a hello [] False False"),
        (lambda mail: mail("a", "b", urgent=True), "a b [] True False"),
        (lambda mail: mail(to="a", lines=["x"]), "a hello ['x'] False False"),
    ],
)
async def test_fields_arrive_with_their_defaults(app: App, call: Call, result: str) -> None:
    task: Any = call(Mail)
    handle = await task.dispatch()
    await work(app)
    assert await handle.result(timeout=30) == result


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda mail: mail(), r"Mail\(\) missing required argument: 'to'"),
        (lambda mail: mail(subject="x"), "missing required argument: 'to'"),
        (lambda mail: mail(to="a", subjet="x"), "argument 'subjet'. Did you mean 'subject'"),
        (lambda mail: mail(too="a"), "argument 'too'. Did you mean 'to'"),
        (lambda mail: mail(to="a", other=1), "argument 'other'. The fields are 'to'"),
        (lambda mail: mail(to="a", kind="x"), "unexpected keyword argument 'kind'"),
        (lambda mail: mail(to="a", sent=True), "unexpected keyword argument 'sent'"),
        (lambda mail: mail(to="a", _cache=1), "unexpected keyword argument '_cache'"),
        (lambda mail: mail(to="a", max_attempts=5), r"It is an option: .*\.options\(max_attempts"),
        (lambda mail: mail("a", to="b"), "multiple values for argument 'to'"),
        (lambda mail: mail("a", "b", [], True, 5), "takes 4 positional arguments but 5 were given"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_at_the_call(call: Call, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        call(Mail)


def test_the_check_of_a_class_names_its_fields() -> None:
    mail, signed = definition_of(Mail), definition_of(Signed)
    assert mail is not None
    assert signed is not None
    assert list(inspect.signature(mail.check).parameters) == [*("to", "subject", "lines", "urgent")]
    assert str(inspect.signature(signed.check)).endswith("*, by)")


def test_default_factories_run_for_each_instance() -> None:
    assert Mail(to="a").lines is not Mail(to="b").lines


async def test_default_that_a_task_changes_stays_as_it_is_for_others(app: App) -> None:
    class Collect(AsyncTask[list[int]]):
        number: int
        found: list[int] = []  # noqa: RUF012  what this is about
        constant: "ClassVar[int]" = 1

        async def execute(self) -> list[int]:
            self.found.append(self.number)
            return self.found

    handles = [await Collect(number).dispatch() for number in (1, 2)]
    await work(app)
    assert [await handle.result(timeout=30) for handle in handles] == [[1], [2]]


async def test_post_init_runs_when_the_fields_are_set(app: App) -> None:
    class Greet(AsyncTask[str]):
        name: str

        def __post_init__(self) -> None:
            self.text = f"Hello {self.name}"

        async def execute(self) -> str:
            return self.text

    class Own(Greet):
        def __init__(self, name: str) -> None:
            super().__init__(name=name)
            self.text = "own"

    handles = [await task.dispatch() for task in (Greet("Ann"), Own("Ann"))]
    await work(app)
    assert [await handle.result(timeout=30) for handle in handles] == ["Hello Ann", "own"]


class Signed(Mail):
    by: str = field(kw_only=True)
    subject = "signed"

    async def execute(self) -> str:
        return f"{self.to} {self.subject} {self.by}"


class Mixin:
    note: str


class Mixed(Mixin, Mail):
    to: str = "nobody"


class Page(AsyncTask[T], Generic[T]):
    number: InitVar[int]
    _: KW_ONLY
    size: int = 10

    async def execute(self) -> T:
        raise NotImplementedError


class FirstPage(Page[int]):
    async def execute(self) -> int:
        return 1


def test_fields_are_inherited() -> None:
    untyped: dict[str, Any] = {cls.__name__: cls for cls in (Signed, Mixed, FirstPage)}
    assert untyped["Signed"](to="a", by="b").subject == "signed"
    with pytest.raises(TypeError, match="missing required argument: 'by'"):
        untyped["Signed"](to="a")
    assert untyped["Mixed"](note="x").note == "x"
    assert untyped["Mixed"]().to == "nobody"
    assert untyped["FirstPage"](5, size=3).number == 5
    with pytest.raises(TypeError, match="takes 1 positional arguments but 2 were given"):
        untyped["FirstPage"](5, 3)
    with pytest.raises(TypeError, match="'number'"):
        untyped["FirstPage"]()


def test_a_dataclass_and_a_constructor_decide_for_themselves() -> None:
    @dataclass
    class Data(AsyncTask[None]):
        number: int
        kept: list[int] = field(default_factory=list)

        async def execute(self) -> None: ...

    class Own(AsyncTask[None]):
        total: int

        def __init__(self, number: int, **rest: Any) -> None:
            super().__init__(**rest)
            self.number = number

        async def execute(self) -> None: ...

    assert Data(5).kept == []
    assert vars(Own(5, color="red"))["color"] == "red"


@pytest.mark.parametrize(
    "name",
    [
        "delay",
        "dispatch",
        "execute",
        "failed",
        "on_queue",
        "options",
        "retry_after",
        "should_retry",
    ],
)
def test_an_annotation_that_hides_a_method_is_refused(name: str) -> None:
    with pytest.raises(TaskDefinitionError, match=f"Broken cannot have a field named '{name}'"):
        type("Broken", (SyncTask,), {"__annotations__": {name: str}})


async def test_a_message_of_an_older_release_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ship(AsyncTask[None]):
        order: int

        async def execute(self) -> None: ...

    untyped: Any = Ship
    async with asynctasq.init({"driver": "memory", "mismatch_patience": 0.0}) as app:
        with monkeypatch.context() as older:
            older.setattr(Ship, "_fields", None)
            message = await message_of(app, untyped(number=5))
        await work(app)
        with pytest.raises(TaskFailed, match="unexpected keyword argument 'number'"):
            await app.handle(str(message.id.hex())).result(timeout=30)
