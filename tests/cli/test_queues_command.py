"""`asynctasq queues`."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from asynctasq import App
from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.contracts.driver import QueueCounts
from tests.cli.stores import with_store
from tests.cli.terminals import interrupted_at
from tests.operations.staging import bury, enqueue, message, reserve

Invoke = Callable[..., Result]


async def some_of_each(app: App) -> None:
    await enqueue(app, message(app), message(app), message(app, delay=60.0))
    await reserve(app, limit=1)
    await bury(app, message(app, queue="mail"))


async def counts(app: App) -> QueueCounts:
    return await app.queues.count("default")


@pytest.fixture
def filled() -> None:
    with_store(some_of_each)


@pytest.mark.usefixtures("filled")
def test_queues_are_listed_as_a_table(invoke: Invoke) -> None:
    done = invoke("queues")
    assert done.exit_code == 0
    store, titles, _, default, mail = done.stdout.splitlines()
    assert store.endswith("asynctasq.db")
    assert titles.split() == [
        "Queue",
        "Ready",
        "Scheduled",
        "Running",
        "Dead",
        "Oldest",
        "State",
    ]
    assert default.split()[:5] == ["default", "1", "1", "1", "0"]
    assert mail.split() == ["mail", "0", "0", "0", "1"]


@pytest.mark.usefixtures("filled")
def test_queues_are_listed_as_json(invoke: Invoke) -> None:
    [default, mail] = json.loads(invoke("queues", "list", "--json").stdout)
    assert default["oldest_ready_age"] >= 0
    assert set(default) == {
        "name",
        "ready",
        "scheduled",
        "blocked",
        "leased",
        "running",
        "dead",
        "workers",
        "paused",
        "paused_at",
        "oldest_ready_at",
        "oldest_ready_age",
        "counted_up_to",
        "completed_per_minute",
    }
    assert default["counted_up_to"] == 100_000
    assert (mail["name"], mail["dead"], mail["oldest_ready_at"]) == ("mail", 1, None)


@pytest.mark.usefixtures("filled")
def test_only_named_queues_are_listed(invoke: Invoke) -> None:
    found = json.loads(invoke("queues", "list", "mail", "other", "--json").stdout)
    assert [(queue["name"], queue["dead"], queue["paused"]) for queue in found] == [
        ("mail", 1, False),
        ("other", 0, False),
    ]


@pytest.mark.usefixtures("filled")
def test_a_queue_is_paused_and_resumed(invoke: Invoke) -> None:
    assert invoke("queues", "pause", "default").stdout == "Paused default.\n"
    assert "paused" in invoke("queues").stdout
    assert not with_store(reserve)
    done = invoke("queues", "resume", "default", "--json")
    assert json.loads(done.stdout) == {"queue": "default", "paused": False}
    assert with_store(reserve)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_misspelled_queue_is_neither_paused_nor_resumed(invoke: Invoke, command: str) -> None:
    done = invoke("queues", command, "defualt")
    assert (done.exit_code, done.stdout) == (5, "")
    assert "There is no queue 'defualt' in " in done.stderr
    assert "Did you mean 'default'?" in done.stderr
    assert "paused" not in invoke("queues").stdout


@pytest.mark.usefixtures("filled")
def test_a_queue_can_be_paused_before_its_first_message(invoke: Invoke) -> None:
    assert "--create" in invoke("queues", "pause", "later").stderr
    assert invoke("queues", "pause", "later", "--create").stdout == "Paused later.\n"
    assert invoke("queues", "resume", "later").stdout == "Resumed later.\n"
    assert invoke("queues", "pause", "default").exit_code == 0


@pytest.mark.usefixtures("filled")
def test_queues_of_workers_and_tasks_are_known(invoke: Invoke, tmp_path: Path) -> None:
    async def serve(app: App) -> None:
        driver: Any = await app.driver()
        worker = WorkerInfo("w1", "host", 1, 0.0, ("served",), 5, 2, "1.0", seen_at=time.time())
        await driver.record_worker(worker, ttl=60.0)

    with_store(serve)
    assert invoke("queues", "pause", "served").exit_code == 0
    (tmp_path / "posting.py").write_text(
        "from asynctasq import task\n@task(queue='post')\nasync def post() -> None: ...\n"
    )
    assert invoke("queues", "pause", "post").exit_code == 5
    assert invoke("queues", "pause", "post", "--app", "posting").exit_code == 0


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    "command", ["tasks --queue mial", "dead --queue mial", "queues list mial", "queues purge mial"]
)
def test_a_misspelled_queue_is_noted_if_no_message_is_found(invoke: Invoke, command: str) -> None:
    done = invoke(*command.split())
    assert done.exit_code == 0
    assert "Note: There is no queue 'mial'" in done.stderr
    assert "Did you mean 'mail'?" in done.stderr


@pytest.mark.usefixtures("filled")
def test_a_queue_without_workers_is_reported(invoke: Invoke) -> None:
    done = invoke("queues")
    assert done.stdout.splitlines()[3].split()[-2:] == ["no", "workers"]
    assert "No worker serves default." in done.stderr
    [default, mail] = json.loads(invoke("queues", "--json").stdout)
    assert (default["workers"], default["running"], mail["workers"]) == (0, 1, 0)

    async def serve(app: App) -> None:
        driver: Any = await app.driver()
        worker = WorkerInfo("w1", "host", 1, 0.0, ("default",), 5, 2, "1.0", seen_at=time.time())
        await driver.record_worker(worker, ttl=60.0)

    with_store(serve)
    served = invoke("queues")
    assert "no workers" not in served.stdout
    assert served.stderr == ""


@pytest.mark.usefixtures("filled")
def test_purging_asks_first(invoke: Invoke) -> None:
    done = invoke("queues", "purge", "default")
    assert done.exit_code == 2
    assert "Delete 2 messages (1 ready, 1 scheduled) from queue default" in done.stderr
    assert "--yes" in done.stderr
    assert with_store(counts).ready == 1


@pytest.mark.usefixtures("filled")
def test_ctrl_c_does_not_answer_a_question() -> None:
    assert interrupted_at("[y/N]", "queues", "purge", "default") == 130
    assert with_store(counts).ready == 1


@pytest.mark.usefixtures("filled")
def test_purging_deletes_waiting_messages(invoke: Invoke) -> None:
    done = invoke("queues", "purge", "default", "--yes")
    assert done.stdout == "Deleted 2 messages from default.\n"
    left = with_store(counts)
    assert (left.ready, left.scheduled, left.leased) == (0, 0, 1)
    done = invoke("queues", "purge", "mail", "--state", "dead", "--yes", "--json")
    assert json.loads(done.stdout) == {"queue": "mail", "deleted": 1}
    assert invoke("queues", "purge", "mail").stdout == "Deleted 0 messages from mail.\n"


@pytest.mark.usefixtures("filled")
def test_options_of_the_store_may_stand_before_the_command(invoke: Invoke) -> None:
    done = invoke("queues", "--json", "--driver=sqlite:///asynctasq.db", "pause", "mail")
    assert json.loads(done.stdout) == {"queue": "mail", "paused": True}


def test_an_invalid_queue_name_is_refused(invoke: Invoke) -> None:
    done = invoke("queues", "pause", "no queue")
    assert done.exit_code == 2
    assert "'no queue'" in done.stderr


def test_an_unknown_command_or_option_is_a_usage_error(invoke: Invoke) -> None:
    for leading in ([], ["--json"], ["--driver", "sqlite"]):
        done = invoke("queues", *leading, "pruge")
        assert done.exit_code == 2
        assert "No such command 'pruge'. Did you mean 'purge'?" in done.stderr
    assert invoke("queues", "--nothing").exit_code == 2
    assert "pause" in invoke("queues", "--help").stdout
