"""The code that users were promised, block by block in the order of the documents."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import asynctasq
from asynctasq.message import State, id_to_text
from asynctasq.tasks.definition import ExecutionMode
from asynctasq.tasks.registry import registry
from tests.seeds import blocks_000, blocks_001, blocks_002
from tests.seeds.harness import (
    FOLDER,
    STORE_NAME,
    Block,
    Run,
    Sent,
    as_module,
    execute,
    keep_for_children,
    outcomes,
    source_of,
    waiting,
)

BLOCKS = [*blocks_000.BLOCKS, *blocks_001.BLOCKS, *blocks_002.BLOCKS]
BY_NAME = {block.file: block for block in BLOCKS}
LONG_SECONDS = 1e9


@pytest.fixture(autouse=True)
def _as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("asynctasq.runtime.default", None)
    # The clock is put forward by days, and still every result is to be had.
    monkeypatch.setenv("ASYNCTASQ_DEFAULT_RESULT_TTL", str(LONG_SECONDS))
    modules = set(sys.modules)
    with registry.preserved(empty=True):
        yield
    for name in set(sys.modules) - modules:
        if name.startswith("seed_"):
            del sys.modules[name]


def test_every_block_is_listed_once_in_order() -> None:
    files = [f"{path.parent.name}/{path.stem}" for path in sorted(FOLDER.glob("00*/*.py"))]
    assert [block.file for block in BLOCKS] == files
    for document, number in (("000", 22), ("001", 54), ("002", 47)):
        numbers = [int(name[4:6]) for name in files if name.startswith(document)]
        assert numbers == list(range(1, number + 1))


@pytest.mark.filterwarnings("ignore:`pk` is deprecated")  # Tortoise has renamed it
@pytest.mark.parametrize("block", [b for b in BLOCKS if not b.left_out], ids=lambda b: b.file)
def test_block_does_what_the_document_says(
    block: Block, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = as_module(block)
    if block.continues:
        before = BY_NAME[block.continues]
        execute(module, f"{before.given}\n{source_of(before)}", name=before.file)
    execute(module, block.given, name=f"given for {block.file}")
    execute(module, source_of(block), name=block.file)
    module.__dict__.pop("main", None)
    execute(module, block.then, name=f"after {block.file}")

    if not block.sent:
        return
    if any(sent.in_process for sent in block.sent):
        monkeypatch.syspath_prepend(Path.cwd())
        earlier = [BY_NAME[block.continues]] if block.continues else []
        sources = [part for each in (*earlier, block) for part in (each.given, source_of(each))]
        keep_for_children(module, [*sources, block.then])
    snapshots = asynctasq.run(waiting(block.store))
    runs = asynctasq.run(outcomes(block.store, snapshots))
    for expected, run in zip(block.sent, runs, strict=True):
        check_message(expected, run)
        check_outcome(expected, run)
    ids = [id_to_text(each.message.id) for each in snapshots]
    check_output(block, ids, capfd.readouterr().out)


def check_message(expected: Sent, run: Run) -> None:
    message = run.snapshot.message
    found = Sent(
        message.task.partition(":")[2],
        message.queue,
        max_attempts=message.max_attempts,
        retry_delay=run.policy.retry_delay,
        timeout=run.policy.timeout,
        delay=round(run.snapshot.due_at - run.snapshot.enqueued_at, 3),
        returns=expected.returns,
        dies_of=expected.dies_of,
        runs=expected.runs,
        in_process=run.mode is ExecutionMode.PROCESS,
    )
    assert found == expected
    assert run.snapshot.state is (State.SCHEDULED if expected.delay else State.READY)


def check_outcome(expected: Sent, run: Run) -> None:
    assert run.value == expected.returns
    assert run.error == (expected.dies_of or "")
    assert run.runs == expected.runs


def check_output(block: Block, ids: list[str], printed: str) -> None:
    place = 0
    for line in block.prints:
        wanted = re.sub(r"\{(\d)\}", lambda match: ids[int(match[1])], line)
        assert wanted in printed[place:]
        if len(ids) == 1:  # several tasks run side by side
            place = printed.index(wanted, place)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.left_out], ids=lambda b: b.file)
def test_blocks_left_out_are_python(block: Block) -> None:
    compile(source_of(block), block.file, "exec")


def test_stores_that_come_later_are_the_only_names_replaced() -> None:
    replaced = {
        match[0]
        for path in FOLDER.glob("00*/*.py")
        for match in STORE_NAME.finditer(path.read_text())
    }
    assert replaced == {"'redis'", '"redis"', "'postgres'", '"postgres"', "'sqs'", '"sqs"'}


@pytest.mark.parametrize("block", ["001/48_send_email", "002/42_send_email"])
def test_complete_example_runs_as_a_script(block: str, tmp_path: Path) -> None:
    """No stand-ins: a script in a folder, and a worker that finds its tasks by their names."""
    script = tmp_path / "shop.py"
    script.write_text(f"{BY_NAME[block].given}\n{source_of(BY_NAME[block])}")
    command = [sys.executable, "-W", "error", script.name]
    result = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("Task ID: ") == 5

    found = asynctasq.run(waiting("asynctasq.db"))
    assert len(found) == 5
    assert all(each.message.task.startswith("shop:") for each in found)
    work = "import asynctasq as a; a.run(a.Worker(queues=%r, burst=True).start())"
    queues = ["emails", "payments", "reports"]
    command = [sys.executable, "-W", "error", "-c", work % queues]
    worker = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (worker.returncode, worker.stderr) == (0, "")
    assert "Sending email to user@example.com: Welcome" in worker.stdout
    assert "Generating report 1" in worker.stdout
    left = asynctasq.run(waiting("asynctasq.db"))
    assert [each.state for each in left] == [State.SCHEDULED, State.SCHEDULED]


SETTINGS = """
SECRET_KEY = "of a test"
INSTALLED_APPS = ["shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "models.db"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""
PRODUCER = """
import django
django.setup()
import asynctasq
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.db import connections
from shop.models import Product, User, main
call_command("migrate", run_syncdb=True, verbosity=0)
User.objects.create(id=1, email="ada@example.com", name="Ada")
Product.objects.create(id=5, name="Engine", price=10)
connections.close_all()
async def produce():
    await main()
    await sync_to_async(connections.close_all)()  # Django leaves it open; Python 3.13 warns of that
asynctasq.run(produce())
"""
WORKER = """
import django
django.setup()
import asynctasq
worker = asynctasq.Worker(queues=["emails", "products"], burst=True)
asynctasq.run(worker.start())
"""


@pytest.mark.parametrize("block", ["001/31_user", "002/28_user"])
def test_django_blocks_run_in_a_project(block: str, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "models.py").write_text(source_of(BY_NAME[block]))
    (tmp_path / "settings.py").write_text(SETTINGS)
    printed = []
    for program in (PRODUCER, WORKER):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            cwd=tmp_path,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "settings"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        printed.append(sorted(done.stdout.splitlines()))  # they run side by side
    assert printed == [
        [],
        ["Sending welcome email to ada@example.com", "Updating Engine to $99.99"],
    ]
