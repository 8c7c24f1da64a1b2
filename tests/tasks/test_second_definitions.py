"""One name is one task: what a second definition of a name may be."""

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from asynctasq import App, AsyncTask, task
from asynctasq.errors import TaskDefinitionError
from asynctasq.tasks import FunctionTask
from asynctasq.tasks.definition import definition_of
from asynctasq.tasks.registry import registry
from tests.tasks.store import work

HEAD = "from functools import wraps\nfrom asynctasq import AsyncTask, task\n"
TWICE = {
    "factory": """
        def times(factor):
            @task
            async def multiply(number): return factor * number
            return multiply

        double, triple = times(2), times(3)
        """,
    "decorator without wraps": """
        def plain(function):
            async def inner(): return await function()
            return inner

        @task
        @plain
        async def first(): ...

        @task
        @plain
        async def second(): ...
        """,
    "lambdas": "first = task(lambda: 1)\nsecond = task(lambda: 2)",
    "class factory": """
        def sync(what):
            class Sync(AsyncTask[str]):
                async def execute(self): return what
            return Sync

        users, orders = sync("users"), sync("orders")
        """,
    "classes in a loop": """
        found = []
        for what in ("users", "orders"):
            class Sync(AsyncTask[str]):
                source = what
                async def execute(self): return self.source
            found.append(Sync)
        """,
    "dynamic classes": """
        class Base(AsyncTask[str]):
            async def execute(self): return self.source

        found = [type("Sync", (Base,), {"source": what}) for what in ("users", "orders")]
        """,
    "dynamic classes of which one has more": """
        async def execute(self): return getattr(self, "dry_run", False)

        wet = type("Sync", (AsyncTask,), {"execute": execute})
        dry = type("Sync", (AsyncTask,), {"execute": execute, "dry_run": True})
        """,
    "dynamic classes of which one has less": """
        async def execute(self): return getattr(self, "dry_run", False)

        dry = type("Sync", (AsyncTask,), {"execute": execute, "dry_run": True})
        wet = type("Sync", (AsyncTask,), {"execute": execute})
        """,
    "dynamic classes with other fields": """
        async def execute(self): return vars(self)

        found = [
            type("Sync", (AsyncTask,), {"execute": execute, "__annotations__": {name: int}})
            for name in ("user", "order")
        ]
        """,
    "two functions": """
        @task
        async def send(): return 1

        @task
        async def send(): return 2
        """,
    "one function with two sets of options": """
        async def send(): ...

        slow, fast = task(queue="slow")(send), task(queue="fast")(send)
        """,
    "one explicit name": """
        @task(name="send")
        async def one(): ...

        @task(name="send")
        async def two(): ...
        """,
    "defaults from a loop": """
        found = []
        for number in (1, 2):
            @task
            async def default(number=number): return number
            found.append(default)
        """,
}


@pytest.fixture
def write_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], None]]:
    """Write a module; those that were written are forgotten afterwards."""
    written: list[str] = []
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(HEAD + textwrap.dedent(text))
        written.append(name)
        importlib.invalidate_caches()

    yield write
    for name in written:
        sys.modules.pop(name, None)


Write = Callable[[str, str], None]


@pytest.mark.parametrize("kind", TWICE)
def test_a_module_with_two_tasks_of_one_name_is_refused(kind: str, write_module: Write) -> None:
    write_module("shop_twice", TWICE[kind])
    with pytest.raises(TaskDefinitionError, match=r"shop_twice\.py:\d+ and at .*name=") as caught:
        importlib.import_module("shop_twice")
    assert "must have one definition, got two" in str(caught.value)


def test_two_modules_that_use_one_decorator_without_wraps_are_refused(write_module: Write) -> None:
    write_module("shop_deco", TWICE["decorator without wraps"].partition("@task")[0])
    for name in ("shop_left", "shop_right"):
        write_module(name, "from shop_deco import plain\n@task\n@plain\nasync def send(): ...")
    importlib.import_module("shop_left")
    with pytest.raises(TaskDefinitionError, match=r"shop_left\.py:4 and at .*shop_right\.py:4"):
        importlib.import_module("shop_right")
    importlib.reload(sys.modules["shop_left"])


def test_a_module_may_be_reloaded_and_imported_again(write_module: Write) -> None:
    text = """
        def wrapped(function):
            @wraps(function)
            async def inner(): return await function()
            return inner

        @task(name="shop.send")
        @wrapped
        async def send(): return 1

        class Ship(AsyncTask[None]):
            async def execute(self): ...

        def make(number):
            @task
            async def made(): return number
            return made

        made = make(1)
        """
    write_module("shop_again", text)
    module = importlib.import_module("shop_again")
    write_module("shop_again", text.replace("return 1", "return 2").replace("send()", "sent()"))
    module = importlib.reload(module)
    assert registry.find("shop.send") is definition_of(module.sent)
    del sys.modules["shop_again"]
    again = importlib.import_module("shop_again")
    assert registry.find("shop.send") is definition_of(again.sent)
    assert registry.find("shop_again:Ship") is definition_of(again.Ship)
    assert again is not module


def test_a_class_that_a_decorator_makes_anew_is_one_task(write_module: Write) -> None:
    write_module(
        "shop_slots",
        """
        from dataclasses import dataclass

        @dataclass(slots=True)
        class Ship(AsyncTask[int]):
            order: int = 5
            async def execute(self): return self.order

        @dataclass(slots=True)
        class Express(Ship):
            order: int = 6
            gift: bool = False
        """,
    )
    module = importlib.import_module("shop_slots")
    assert registry.find("shop_slots:Ship") is definition_of(module.Ship)
    assert registry.find("shop_slots:Express") is definition_of(module.Express)


def test_the_same_function_may_be_decorated_twice_alike(write_module: Write) -> None:
    write_module("shop_alike", "async def send(): ...\none, two = task(send), task(send)")
    importlib.import_module("shop_alike")


def test_a_subclass_with_the_name_of_its_base_is_refused(write_module: Write) -> None:
    base = "class Ship(AsyncTask[None]):\n    async def execute(self): ...\n"
    write_module("shop_sub", f"{base}\n{base.replace('AsyncTask[None]', 'Ship')}")
    with pytest.raises(TaskDefinitionError, match="shop_sub:Ship"):
        importlib.import_module("shop_sub")


def make(number: int) -> FunctionTask[[], int]:
    @task
    async def made() -> int:
        return number

    return made


def make_class(number: int) -> type[AsyncTask[int]]:
    @dataclass
    class Made(AsyncTask[int]):
        async def execute(self) -> int:
            return number

    return Made


@pytest.mark.parametrize("factory", [make, make_class])
async def test_an_earlier_local_task_is_dispatched_no_more(
    app: App, factory: Callable[[int], Any]
) -> None:
    first, second = factory(1), factory(2)
    with pytest.raises(TaskDefinitionError, match=f"{__name__}:make.*must have one definition"):
        await first().dispatch()
    handle = await second().dispatch()
    await work(app)
    assert await handle.result(timeout=30) == 2


async def test_a_local_task_with_messages_that_may_wait_cannot_be_replaced(app: App) -> None:
    handle = await make(1).dispatch()
    with pytest.raises(TaskDefinitionError, match="this line ran twice, as in a factory or a loop"):
        make(2)
    await work(app)
    assert await handle.result(timeout=30) == 1
    await app.close()
    make(2)


async def test_a_local_task_that_is_the_same_may_be_defined_again(app: App) -> None:
    handles = [await make(1).dispatch() for _ in range(2)]
    make(1)
    with pytest.raises(TaskDefinitionError):
        make(2)
    await work(app)
    assert [await handle.result(timeout=30) for handle in handles] == [1, 1]


async def test_an_earlier_task_of_code_that_was_executed_is_dispatched_no_more(app: App) -> None:
    names: dict[str, Any] = {"__name__": "shop_executed"}
    exec(HEAD + "@task\nasync def send(): return 1\nfirst = send", names)
    exec("@task\nasync def send(): return 2", names)
    with pytest.raises(TaskDefinitionError, match="shop_executed:send"):
        await names["first"]().dispatch()
    await names["send"]().dispatch()


def test_another_module_cannot_take_the_name(write_module: Write) -> None:
    for name in ("shop_x", "shop_y"):
        write_module(name, "@task(name='send')\nasync def send(): ...")
    module: ModuleType = importlib.import_module("shop_x")
    with pytest.raises(TaskDefinitionError, match=r"shop_x.*shop_x\.py:3, .*shop_y\.py:3"):
        importlib.import_module("shop_y")
    assert registry.find("send") is definition_of(module.send)


def test_two_modules_whose_tasks_one_helper_defines_are_not_one_file(write_module: Write) -> None:
    write_module("shop_helper", "def send(function): return task(name='send')(function)")
    for name in ("shop_m", "shop_n"):
        write_module(name, "from shop_helper import send\n@send\nasync def run(): ...")
    importlib.import_module("shop_m")
    with pytest.raises(TaskDefinitionError, match="of shop_n is taken by a task of shop_m"):
        importlib.import_module("shop_n")


def test_a_file_that_is_imported_under_two_names_is_told(
    tmp_path: Path, write_module: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_package").mkdir()
    write_module("shop_package/shop_tasks", "@task(name='send')\nasync def send(): ...")
    monkeypatch.syspath_prepend(tmp_path / "shop_package")
    importlib.import_module("shop_tasks")
    told = r"'send' \(.*shop_tasks\.py:3\) is imported under two names, shop_tasks and shop_package"
    try:
        with pytest.raises(TaskDefinitionError, match=told):
            importlib.import_module("shop_package.shop_tasks")
    finally:
        for name in ("shop_tasks", "shop_package"):
            del sys.modules[name]
