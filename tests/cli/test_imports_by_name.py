"""Imports of modules named by messages, in workers and other commands."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asynctasq import App, task
from asynctasq.tasks.registry import registry
from tests.cli.processes import asynctasq, run_program

pytestmark = pytest.mark.sampled(3)

NOW = {"ASYNCTASQ_MISMATCH_PATIENCE": "0"}
"""Settings with which mismatched messages become dead letters at once."""
TASK = """\
import asynctasq

@asynctasq.task(max_attempts=1)
async def run(item=None):
    return str(item)
"""
EVIL = "import pathlib; pathlib.Path('imported.txt').touch()\n" + TASK


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    with registry.preserved(empty=True):
        yield


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """Create a package with and one without `__init__.py`, and a module beside them."""
    for path in ("shop/mail/tasks.py", "store/tasks.py", "store/__init__.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("" if path.endswith("__init__.py") else TASK)
    (tmp_path / "wipe_db.py").write_text(EVIL)
    (tmp_path / "store/__main__.py").write_text(EVIL)
    yield tmp_path
    assert not any(name.startswith("wipe_db") for name in sys.modules)


async def dispatch(*names: str) -> None:
    """Enqueue calls of tasks of these names, whether they exist or not."""
    async with App({"driver": "sqlite"}) as app:
        for name in names:

            @task(name=name, max_attempts=1)
            async def named() -> None: ...

            await app.dispatch(named())


async def worker_log(*options: str, names: list[str], **environment: str) -> str:
    """Run tasks of these names in a worker."""
    await dispatch(*names)
    done = asynctasq("worker", "--burst", *options, **NOW, **environment)
    assert done.returncode == 0, done.stderr
    return done.stderr


async def test_without_modules_every_file_of_the_folder_is_found_with_a_warning(
    project: Path,
) -> None:
    names = ["shop.mail.tasks:run", "store.tasks:run", "wipe_db:run"]
    log = await worker_log(names=names)
    assert all(f"{name} completed" in log for name in names)
    assert f"any Python file under {project}" in log
    assert "import_tasks=false" in log


@pytest.mark.parametrize("given", ["--app", "imports"])
@pytest.mark.parametrize("module", ["shop.mail.tasks", "store.tasks", "store"])
async def test_with_modules_only_their_packages_are(project: Path, given: str, module: str) -> None:
    package = module.partition(".")[0]
    (project / package / "more").mkdir()
    (project / package / "more" / "tasks.py").write_text(TASK)
    names = [
        f"{package}.more.tasks:run",
        "wipe_db:run",
        "store.__main__:run",
        "asynctasq.cli.demo:run",
    ]
    if given == "--app":
        log = await worker_log("--app", module, names=names)
    else:
        log = await worker_log(names=names, ASYNCTASQ_IMPORTS=module)
    assert f"{package}.more.tasks:run completed" in log
    assert log.count("completed") == 1
    assert "import_tasks" not in log
    assert not (project / "imported.txt").exists()


async def test_the_setting_turns_imports_off(project: Path) -> None:
    names = ["store.tasks:run", "store.more:run"]
    (project / "store/more.py").write_text(EVIL)
    log = await worker_log("--app", "store.tasks", names=names, ASYNCTASQ_IMPORT_TASKS="false")
    assert "store.tasks:run completed" in log
    assert not (project / "imported.txt").exists()

    log = await worker_log(names=names, ASYNCTASQ_IMPORT_TASKS="false")
    assert "The setting import_tasks is off, so this worker cannot run any task" in log
    assert "completed" not in log


async def test_names_that_are_no_plain_modules_of_the_folder_are_not_found(project: Path) -> None:
    outside = project.parent / f"{project.name}_outside"
    outside.mkdir()
    (outside / "evil.py").write_text(EVIL)
    (project / "linked.py").symlink_to(outside / "evil.py")
    (project / "venv/lib/site-packages/lib").mkdir(parents=True)
    (project / "venv/lib/site-packages/lib/evil.py").write_text(EVIL)
    (project / "compiled.so").write_bytes(b"")
    names = [
        *(
            "linked:run",
            "venv.lib.site-packages.lib.evil:run",
            "compiled:run",
            "store.__main__:run",
        ),
        *(
            "..evil:run",
            "/etc/passwd:run",
            "store/tasks:run",
            "this:run",
            "\n:run",
            ":",
            "shop:run",
        ),
    ]
    log = await worker_log(names=names)
    assert "completed" not in log
    assert not (project / "imported.txt").exists()


async def test_part_of_a_namespace_in_site_packages_is_not_found(project: Path) -> None:
    installed = project / "lib" / "site-packages"
    (installed / "shop").mkdir(parents=True)
    (installed / "shop" / "evil.py").write_text(EVIL)
    log = await worker_log(
        "--app",
        "shop.mail.tasks",
        names=["shop.mail.tasks:run", "shop.evil:run"],
        PYTHONPATH=str(installed),
    )
    assert "shop.mail.tasks:run completed" in log
    assert not (project / "imported.txt").exists()


@pytest.mark.parametrize(
    "line",
    [
        "raise SystemExit(3)",
        "raise KeyboardInterrupt",
        "import asyncio; raise asyncio.CancelledError",
        "raise BaseException('no')",
        "1 / 0",
    ],
)
async def test_a_module_that_exits_on_import_does_not_stop_the_worker(
    project: Path, line: str
) -> None:
    (project / "store/broken.py").write_text(line)
    log = await worker_log("--app", "store", names=["store.broken:run", "store.tasks:run"])
    assert "Could not import the module 'store.broken'" in log
    assert "store.tasks:run completed" in log


ITEMS = """\
from dataclasses import dataclass

@dataclass
class Item:
    number: int
"""


@pytest.mark.parametrize(("module", "outcome"), [("shop.items", "completed"), ("items", "is dead")])
async def test_classes_of_arguments_follow_the_same_rule(
    project: Path, module: str, outcome: str
) -> None:
    (project / f"{module.replace('.', '/')}.py").write_text(ITEMS)
    (project / "send.py").write_text(
        f"import asynctasq\nfrom shop.mail.tasks import run\nfrom {module} import Item\n"
        "asynctasq.run(run.dispatch(Item(1)))\n"
    )
    assert await run_program("send.py") == ""
    log = asynctasq("worker", "--burst", "--app", "shop.mail.tasks", **NOW).stderr
    assert f"shop.mail.tasks:run {outcome}" in log


async def test_a_result_imports_nothing(project: Path) -> None:
    (project / "shop/items.py").write_text(ITEMS)
    (project / "shop/work.py").write_text(
        "import asynctasq\n\n@asynctasq.task\nasync def make():\n"
        "    from shop.items import Item\n    return Item(7)\n"
    )
    (project / "ask.py").write_text(
        "import asyncio, sys, asynctasq\nfrom asynctasq.errors import AsynctasqError\n"
        "from shop.work import make\n"
        "async def main():\n"
        "    handle = await make.dispatch()\n"
        "    worker = await asyncio.create_subprocess_exec(sys.executable, '-m', 'asynctasq.cli', 'worker',\n"
        "        '--burst', '--app', 'shop.work', '--log-level', 'error')\n"
        "    await worker.wait()\n"
        "    try:\n"
        "        await handle.result(timeout=30)\n"
        "    except AsynctasqError as error:\n"
        "        print('knows no class' in str(error), 'shop.items' in sys.modules)\n"
        "    import shop.items\n"
        "    print(await handle.result(timeout=30))\n"
        "asynctasq.run(main())\n"
    )
    assert await run_program("ask.py") == "True False\nItem(number=7)\n"


OWN_SETTINGS = """\
import asynctasq
asynctasq.init({"driver": "sqlite:///other.db", "concurrency": 3})

@asynctasq.task(max_attempts=1)
async def run(number: int):
    return number
"""


async def test_a_module_that_calls_init_is_found_and_its_settings_are_ignored(
    project: Path,
) -> None:
    (project / "real.py").write_text(OWN_SETTINGS)
    (project / "send.py").write_text(
        "import asynctasq\n"
        "@asynctasq.task(name='real:run')\nasync def run(number): ...\n"
        "asynctasq.run(run.dispatch('five'))\n"
    )
    await run_program("send.py")
    shown = asynctasq("tasks", "list", "--json")
    assert shown.returncode == 0, shown.stderr
    task_id = shown.stdout.partition('"id": "')[2].partition('"')[0]
    shown = asynctasq("tasks", "show", task_id, "--arguments")
    assert "number" in shown.stdout
    assert "Ignored the settings that init() gives in the module real" in shown.stderr

    log = asynctasq("worker", "--burst").stderr
    assert "real:run completed" in log
    assert log.count("Ignored the settings that init() gives in the module real") == 1
    assert not (project / "other.db").exists()


async def test_imports_of_the_environment_come_before_the_app(project: Path) -> None:
    (project / "ready.py").write_text("READY = True\n")
    (project / "needs.py").write_text(f"import sys\nassert 'ready' in sys.modules\n{TASK}")
    log = await worker_log("--app", "needs", names=["needs:run"], ASYNCTASQ_IMPORTS="ready")
    assert "needs:run completed" in log


async def test_django_that_is_not_set_up_gets_a_hint(project: Path) -> None:
    pytest.importorskip("django")
    (project / "models.py").write_text(
        "from django.db import models\nclass Book(models.Model): ...\n"
    )
    done = asynctasq("worker", "--app", "models", "--burst")
    assert done.returncode != 0
    assert "Call django.setup() first" in done.stderr
    assert "DJANGO_SETTINGS_MODULE" in done.stderr
    assert "ASYNCTASQ_IMPORTS" in done.stderr
