"""Under which name a task is known."""

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from asynctasq import AsyncTask, task
from asynctasq.errors import TaskDefinitionError, UnknownTask
from asynctasq.tasks.definition import definition_of
from asynctasq.tasks.registry import registry

pytestmark = pytest.mark.sampled(2)


def defined_in(module: str, source: str) -> types.ModuleType:
    """Return a module made of source."""
    made = types.ModuleType(module)
    exec(source, made.__dict__)
    return made


FUNCTION = """
from asynctasq import task

@task{options}
def ship(number): return {returned!r}
"""


def test_a_name_is_module_and_qualified_name() -> None:
    class Outer:
        class Ship(AsyncTask[None]):
            async def execute(self) -> None: ...

        @staticmethod
        @task
        def pack() -> None: ...

    place = "test_a_name_is_module_and_qualified_name.<locals>.Outer"
    assert registry.find(f"{__name__}:{place}.Ship") is definition_of(Outer.Ship)
    assert Outer.pack.name == f"{__name__}:{place}.pack"


def test_the_same_name_again_from_the_same_module_replaces() -> None:
    defined_in("shop_a", FUNCTION.format(options="", returned=1))
    module = defined_in("shop_a", FUNCTION.format(options="", returned=2))
    found = registry.find("shop_a:ship")
    assert found is definition_of(module.ship)
    assert sum(each.name == "shop_a:ship" for each in registry) == 1


def test_functions_of_one_name_in_two_modules_are_two_tasks() -> None:
    for module in ("shop_a", "shop_b"):
        defined_in(module, FUNCTION.format(options="", returned=1))
    assert registry.find("shop_a:ship") is not registry.find("shop_b:ship")


def test_explicit_name_may_be_defined_again_by_its_module_only() -> None:
    named = FUNCTION.format(options="(name='ship')", returned=1)
    defined_in("shop_a", named)
    defined_in("shop_a", named)
    with pytest.raises(TaskDefinitionError, match="'ship' of shop_b is taken by a task of shop_a"):
        defined_in("shop_b", named)
    assert registry.find("ship").module == "shop_a"


def test_classes_are_named_with_a_class_argument() -> None:
    class Ship(AsyncTask[None], name="ships.ship"):
        async def execute(self) -> None: ...

    class Child(Ship):
        pass

    assert registry.find("ships.ship") is definition_of(Ship)
    child = definition_of(Child)
    assert child is not None
    assert child.name.endswith("<locals>.Child")


@pytest.mark.parametrize("name", ["", 5])
def test_names_of_classes_must_be_strings(name: Any) -> None:
    with pytest.raises(TypeError, match="The task class Ship: name must be a non-empty string"):
        types.new_class("Ship", (AsyncTask[None],), {"name": name})


@pytest.mark.parametrize(
    "name",
    ["nowhere:ship", "ship", "", "os:system", "subprocess:Popen", "asynctasq:init", ":", "a b"],
)
def test_unknown_names_say_where_they_were_looked_for(name: str) -> None:
    with pytest.raises(UnknownTask, match="asynctasq worker --app MODULE"):
        registry.find(name)


SCRIPT = """
import sys
from asynctasq import AsyncTask, task
from asynctasq.tasks.registry import registry

@task
def pack(): ...

class Ship(AsyncTask[None]):
    async def execute(self): ...

print(*sorted(each.name for each in registry))
"""


def run(*arguments: str, cwd: Path) -> str:
    command = [sys.executable, "-W", "error", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr.strip().rpartition("\n")[2]


def test_a_script_is_called_as_it_is_imported_never_main(tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    for path in (tmp_path / "orders.py", package / "__init__.py", package / "__main__.py"):
        path.write_text("" if path.name == "__init__.py" else SCRIPT)
    assert run("orders.py", cwd=tmp_path) == "orders:Ship orders:pack\n"
    assert run("-m", "orders", cwd=tmp_path) == "orders:Ship orders:pack\n"
    assert run("-m", "shop", cwd=tmp_path) == "shop.__main__:Ship shop.__main__:pack\n"


@pytest.mark.parametrize(
    ("script", "folder", "name"),
    [
        ("shop/tasks.py", ".", "shop.tasks"),
        ("shop/deep/tasks.py", ".", "shop.deep.tasks"),
        ("shop/bare/tasks.py", ".", "tasks"),  # without an __init__.py it is not in a package
        ("shop", ".", "shop.__main__"),
        ("{root}/shop/tasks.py", "/", "shop.tasks"),
        ("tasks.py", "shop", "tasks"),
    ],
)
def test_a_script_in_a_package_is_called_as_its_package_says(
    tmp_path: Path, script: str, folder: str, name: str
) -> None:
    for path in ("shop/tasks.py", "shop/deep/tasks.py", "shop/bare/tasks.py", "shop/__main__.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(SCRIPT)
    for path in ("shop/__init__.py", "shop/deep/__init__.py"):
        (tmp_path / path).touch()
    found = run(script.format(root=tmp_path), cwd=tmp_path / folder)
    assert found == f"{name}:Ship {name}:pack\n"


PROCESS_SCRIPT = """
import multiprocessing
from asynctasq import App, Worker, run, task

@task(process=True, max_attempts=1)
def pid():
    import os
    return os.getpid()

async def main():
    async with App({"driver": "sqlite", "process_pool_size": 1}):
        handle = await pid.dispatch()
        await Worker(burst=True).start()
        assert await handle.result(timeout=30) > 0
    print(pid.name)

if __name__ == "__main__":
    run(main())
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(str, ["spawned"]))
"""


def test_children_of_a_script_in_a_package_find_its_tasks(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "work.py").write_text(PROCESS_SCRIPT)
    assert run("shop/work.py", cwd=tmp_path) == "shop.work:pid\nspawned\n"


def test_an_unknown_name_of_a_script_leads_to_its_package() -> None:
    defined_in("shop_a.tasks", FUNCTION.format(options="", returned=1))
    with pytest.raises(UnknownTask, match=r"run its script as `python -m shop_a\.tasks`"):
        registry.find("tasks:ship")


def test_code_that_no_worker_could_import_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my orders.py").write_text(SCRIPT)
    assert "TaskDefinitionError" in run("-c", SCRIPT, cwd=tmp_path)
    assert "TaskDefinitionError" in run("my orders.py", cwd=tmp_path)
