"""Shared parts of the commands for operators: stores, questions, pipes, Ctrl-C, exit codes."""

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from asynctasq import App
from asynctasq.cli.exit_codes import ExitCode, exit_code_of
from asynctasq.cli.retrying import BulkSummary
from asynctasq.contracts.driver import QueueCounts
from asynctasq.errors import CapabilityMissing, DriverError, DriverUnavailable, ResultUnknown
from tests.cli.processes import COMMAND, DEADLINE_SECONDS
from tests.cli.stores import with_store
from tests.operations.staging import bury, enqueue, message
from tests.operations.test_task_operations import UNKNOWN

Invoke = Callable[..., Result]

FILEQUEUE = "examples/asynctasq-filequeue/src"
INCAPABLE = """\
import asyncio, sys
from pathlib import Path
sys.path.append("{source}")
from asynctasq import App
from asynctasq.message import Message, new_id
from asynctasq_filequeue.driver import FileQueueDriver
app = App({{"driver": FileQueueDriver("tasks.file")}})
if not Path("tasks.file").exists():
    asyncio.run(FileQueueDriver("tasks.file").enqueue([Message(new_id(), "default", "t", b"")]))
"""


async def counts(app: App) -> QueueCounts:
    return await app.queues.count("default")


async def many_dead(app: App) -> list[str]:
    return await bury(app, *(message(app) for _ in range(40)))


@pytest.mark.parametrize(
    "arguments, capability",
    [
        (["queues"], "INSPECT"),
        (["queues", "pause", "q"], "PAUSE"),
        (["queues", "purge", "default", "--yes"], "PURGE"),
        (["tasks"], "INSPECT"),
        (["tasks", "show", UNKNOWN], "INSPECT"),
        (["tasks", "cancel", UNKNOWN, "--yes"], "CANCEL"),
        (["tasks", "retry", UNKNOWN], "DEAD_LETTERS"),
        (["dead"], "DEAD_LETTERS"),
        (["dead", "retry", "--all"], "DEAD_LETTERS"),
        (["dead", "delete", UNKNOWN, "--yes"], "DEAD_LETTERS"),
        (["workers"], "WORKERS"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_a_missing_capability_is_named(
    invoke: Invoke, repository: Path, tmp_path: Path, arguments: list[str], capability: str
) -> None:
    (tmp_path / "filing.py").write_text(INCAPABLE.format(source=repository / FILEQUEUE))
    done = invoke(*arguments, "--app", "filing:app")
    assert done.exit_code == 4, done.output
    assert done.stdout == ""
    assert f"needs the capability {capability}, which {tmp_path}" in done.stderr
    assert "does not have. " in done.stderr
    assert "Use a driver that has it" in done.stderr


def test_named_queues_are_counted_on_every_driver(
    invoke: Invoke, repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "filing.py").write_text(INCAPABLE.format(source=repository / FILEQUEUE))
    arguments = ["queues", "list", "default", "--app", "filing:app"]
    assert invoke(*arguments).stdout.splitlines()[-1].split() == ["default", "1", "0", "0", "0"]
    [queue] = json.loads(invoke(*arguments, "--json").stdout)
    assert (queue["ready"], queue["paused"], queue["oldest_ready_at"]) == (1, None, None)


def test_errors_have_exit_codes() -> None:
    assert exit_code_of(DriverError("x")) is ExitCode.FAILED
    assert exit_code_of(DriverUnavailable("x")) is ExitCode.UNAVAILABLE
    assert exit_code_of(CapabilityMissing("x")) is ExitCode.INCAPABLE
    assert exit_code_of(ResultUnknown("x")) is ExitCode.NOT_FOUND


def test_exit_codes_are_documented(repository: Path) -> None:
    page = (repository / "docs/how-to/operate-queues.md").read_text()
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert listed == set(ExitCode)


def test_listing_a_missing_store_does_not_create_it(invoke: Invoke, tmp_path: Path) -> None:
    for command in ("queues", "tasks", "dead", "workers"):
        done = invoke(command)
        assert done.exit_code == 3
        assert f"There is no store at {tmp_path / 'asynctasq.db'}" in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_unreadable_store_gives_one_message(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "asynctasq.db").write_bytes(b"no database" * 1000)
    done = invoke("queues")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.output


def test_a_driver_that_is_not_installed_gives_one_message(invoke: Invoke) -> None:
    done = invoke("tasks", "--driver", "nonsense")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "nonsense" in done.stderr


def test_the_memory_driver_gives_a_warning(invoke: Invoke) -> None:
    done = invoke("queues", "--driver", "memory")
    assert done.exit_code == 0
    assert "keeps messages within one process" in done.stderr


async def test_ctrl_c_stops_a_retry_between_batches_with_a_summary(app: App) -> None:
    await many_dead(app)
    retrying = await asyncio.create_subprocess_exec(
        *COMMAND,
        *["dead", "retry", "--all", "--yes", "--rate", "2", "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not (await counts(app)).ready:
                await asyncio.sleep(0.02)
            retrying.send_signal(signal.SIGINT)
            output, _ = await retrying.communicate()
    finally:
        if retrying.returncode is None:
            retrying.kill()
            await retrying.wait()
    assert retrying.returncode == 130
    summary = json.loads(output)
    left = await counts(app)
    assert summary == {"matched": 40, "retried": left.ready, "refused": [], "interrupted": True}
    assert left.ready is not None
    assert left.dead == 40 - left.ready > 0


def test_a_closed_pipe_ends_the_command_quietly() -> None:
    async def many(app: App) -> None:
        await enqueue(app, *(message(app) for _ in range(1000)))

    with_store(many)
    with subprocess.Popen(
        [*COMMAND, "tasks", "--json", "--limit", "0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as listing:
        assert listing.stdout is not None
        assert listing.stderr is not None
        assert listing.stdout.readline() == '{"tasks": [\n'
        listing.stdout.close()
        assert listing.stderr.read() == ""
    assert listing.returncode == 141


@pytest.mark.parametrize("answer, code, left", [("n", 1, 40), ("y", 0, 0)])
def test_deleting_asks_for_confirmation_on_a_terminal(answer: str, code: int, left: int) -> None:
    with_store(many_dead)
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [*COMMAND, "dead", "delete", "--all"],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as deleting:
            os.write(ours, f"{answer}\n".encode())
            _, question = deleting.communicate(timeout=DEADLINE_SECONDS)
    finally:
        os.close(ours)
        os.close(theirs)
    assert "Delete 40 dead letters in " in question
    assert deleting.returncode == code
    assert with_store(counts).dead == left


@pytest.mark.parametrize(
    "done, matched, text",
    [
        (2, 2, "Retried 2 of 2 dead letters."),
        (0, 1, "Retried 0 of 1 dead letter; 1 unchanged."),
        (1, 9, "Retried 1 of 9 dead letters; 8 unchanged."),
        (0, 9000, "Retried 0 of 9,000 dead letters; 9,000 unchanged."),
    ],
)
def test_a_summary_is_a_sentence(
    done: int, matched: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    BulkSummary("retried", matched, done=done).print(as_json=False)
    assert capsys.readouterr().out == f"{text}\n"


def test_a_queue_name_instead_of_a_command_gives_a_hint(invoke: Invoke) -> None:
    done = invoke("queues", "emails")
    assert done.exit_code == 2
    assert "No such command 'emails'. To list this one: " in done.output
    assert "queues list emails" in done.output
