"""Names that other task queues have do not disturb tasks that use them for themselves."""

from dataclasses import dataclass
from typing import Any

import pytest

from asynctasq import AsyncTask, task


@task
async def plain() -> None: ...


class Fields(AsyncTask[str]):
    message: str
    state: str = "new"

    async def execute(self) -> str:
        return f"{self.message} {self.state}"


class Sender:
    get: str = "default"

    def send(self) -> str:
        return "sent"

    @property
    def result(self) -> str:
        return "ready"


class Mixed(AsyncTask[None], Sender):
    get: str

    async def execute(self) -> None: ...


@dataclass
class Data(AsyncTask[None]):
    get: int
    status: str = "open"

    async def execute(self) -> None: ...


def test_fields_may_have_such_names() -> None:
    made = Fields(message="hello")
    assert (made.message, made.state) == ("hello", "new")
    with pytest.raises(TypeError, match="missing required argument: 'message'"):
        Fields()  # type: ignore[call-arg]  # so that it raises
    data = Data(3)
    assert (data.get, data.status) == (3, "open")


def test_classes_behind_the_base_class_are_found() -> None:
    mixed = Mixed()  # type: ignore[call-arg]  # a default of a class behind counts
    assert (mixed.send(), mixed.result, mixed.get) == ("sent", "ready", "default")
    assert Mixed.send(mixed) == "sent"


def test_classes_have_no_such_names() -> None:
    untyped: Any = Fields
    with pytest.raises(AttributeError, match=r"type object 'Fields' has no attribute 'send'$"):
        untyped.send  # noqa: B018  reading it raises
    assert not hasattr(Fields, "result")


@pytest.mark.parametrize("thing", [plain, plain(), Fields(message="")])
def test_names_that_raise_are_not_listed(thing: object) -> None:
    names = dir(thing)
    assert "dispatch" in names
    assert [name for name in names if not name.startswith("_") and not hasattr(thing, name)] == []
