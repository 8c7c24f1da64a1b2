"""`asynctasq dead`."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from asynctasq import App
from asynctasq.cli import main
from asynctasq.contracts.driver import QueueCounts
from asynctasq.operations import Arguments, TaskDetails
from asynctasq.settlement import ErrorInfo, Reason
from tests.cli.stores import with_store
from tests.cli.test_tasks_command import SHOP, one_payment
from tests.operations.staging import bury, message
from tests.operations.test_task_operations import UNKNOWN

Invoke = Callable[..., Result]


async def three(app: App) -> list[str]:
    return [
        *await bury(app, message(app)),
        *await bury(
            app, message(app, task="mail:send", queue="mail"), reason=Reason.LOST, error=None
        ),
        *await bury(app, message(app)),
    ]


async def counts(app: App) -> QueueCounts:
    return await app.queues.count("default")


def listed(done: Result) -> list[str]:
    return [letter["id"] for letter in json.loads(done.stdout)["dead_letters"]]


def test_dead_letters_are_listed_as_a_table(invoke: Invoke) -> None:
    first, second, third = with_store(three)
    lines = [line.split() for line in invoke("dead").stdout.splitlines()[2:]]
    assert [line[0] for line in lines] == [third, second, first]
    assert lines[0][-3:] == ["Refused:", "no", "money"]
    assert "lost" in lines[1]


def test_dead_letters_are_filtered(invoke: Invoke) -> None:
    first, second, third = with_store(three)
    every = ["dead", "list", "--json"]
    assert listed(invoke(*every)) == [third, second, first]
    assert listed(invoke(*every, "--queue", "mail")) == [second]
    assert listed(invoke(*every, "--task", "shop:*")) == [third, first]
    assert listed(invoke(*every, "--reason", "lost")) == [second]
    assert listed(invoke(*every, "--error", "Ref*")) == [third, first]
    assert listed(invoke(*every, "--until", "1h")) == []
    page = json.loads(invoke(*every, "--limit", "1").stdout)
    assert listed(invoke(*every, "--cursor", page["cursor"])) == [second, first]
    assert invoke("dead", "--reason", "expired").stdout.startswith("No matching dead letters in ")


def test_dead_letters_are_retried_by_id(invoke: Invoke) -> None:
    first, second, _ = with_store(three)
    done = invoke("dead", "retry", first, second.upper(), first)
    assert (done.exit_code, done.stdout) == (0, "Retried 2 of 2 dead letters.\n")
    assert with_store(counts).ready == 1


def test_dead_letters_are_retried_by_filter_after_confirmation(invoke: Invoke) -> None:
    with_store(three)
    refused = invoke("dead", "retry", "--error", "*.Refused")
    assert refused.exit_code == 2
    assert "Retry 2 dead letters in " in refused.stderr
    assert with_store(counts).dead == 2
    done = invoke("dead", "retry", "--error", "*.Refused", "--yes", "--rate", "1000", "--json")
    assert json.loads(done.stdout) == {
        "matched": 2,
        "retried": 2,
        "refused": [],
        "interrupted": False,
    }


def test_oldest_dead_letters_are_retried_first(invoke: Invoke) -> None:
    first, second, third = with_store(three)
    assert invoke("dead", "retry", "--all", "--limit", "2", "--yes").exit_code == 0
    assert listed(invoke("dead", "--json")) == [third]
    assert {first, second}.isdisjoint(listed(invoke("dead", "--json")))


def test_ids_come_from_stdin(invoke: Invoke) -> None:
    first, second, third = with_store(three)
    done = CliRunner().invoke(main, ["dead", "delete", "-", "--yes"], input=f"{first}\n{second}\n")
    assert done.stdout == "Deleted 2 of 2 dead letters.\n"
    assert listed(invoke("dead", "--json")) == [third]


@pytest.mark.parametrize("command", ["retry", "delete"])
@pytest.mark.parametrize("arguments", [[], [UNKNOWN, "--all"], ["--all", "--queue", "mail"]])
def test_dead_letters_must_be_selected_in_one_way(
    invoke: Invoke, command: str, arguments: list[str]
) -> None:
    with_store(three)
    done = invoke("dead", command, *arguments)
    assert done.exit_code == 2
    assert "in one of three ways" in done.stderr


def test_a_filter_without_matches_does_nothing(invoke: Invoke) -> None:
    with_store(three)
    done = invoke("dead", "retry", "--task", "nothing")
    assert (done.exit_code, done.stdout) == (0, "No matching dead letters.\n")


def test_deleting_asks_first(invoke: Invoke) -> None:
    first, *_ = with_store(three)
    done = invoke("dead", "delete", first)
    assert done.exit_code == 2
    assert "Delete 1 dead letter in " in done.stderr
    done = invoke("dead", "delete", first, UNKNOWN, "--yes")
    assert done.exit_code == 1
    assert done.stdout == (
        f"{UNKNOWN}  not deleted: no such dead letter\nDeleted 1 of 2 dead letters.\n"
    )


async def one_unreadable(app: App) -> str:
    """Store a dead letter with a record that could not be decoded."""
    damaged = replace(message(app, task=""), body=b"\x00\xffnoise")
    error = ErrorInfo("asynctasq.errors.BodyCorrupt", "the record has no task", "")
    [task_id] = await bury(app, damaged, reason=Reason.UNDECODABLE, error=error)
    return task_id


def test_a_damaged_record_is_shown_as_unreadable(invoke: Invoke) -> None:
    task_id = with_store(one_unreadable)
    [*_, line] = invoke("dead").stdout.splitlines()
    assert "(unreadable)" in line
    assert "BodyCorrupt: the record has no task" in line
    for command in ("dead", "tasks"):
        shown = invoke(command, "show", task_id).stdout
        assert "State         dead (undecodable)" in shown
        assert "Arguments     unreadable here" in shown
        assert json.loads(invoke(command, "show", task_id, "--json").stdout)["task"] == ""
    assert "(unreadable)" in invoke("tasks", "--state", "dead").stdout


def test_retrying_a_damaged_record_prints_a_note(invoke: Invoke) -> None:
    task_id = with_store(one_unreadable)
    done = invoke("dead", "retry", task_id)
    assert (done.exit_code, done.stdout) == (0, "Retried 1 of 1 dead letter.\n")
    assert "this message could not be decoded." in done.stderr
    assert "it becomes a dead letter again" in done.stderr


def test_retrying_many_counts_the_damaged_records(invoke: Invoke) -> None:
    with_store(one_unreadable)
    first, *_ = with_store(three)
    assert invoke("dead", "retry", first).stderr == ""
    assert "1 of 3 messages could not be decoded." in invoke("dead", "retry", "--all", "-y").stderr


def test_the_arguments_of_a_damaged_record_cannot_be_edited(invoke: Invoke) -> None:
    task_id = with_store(one_unreadable)
    done = invoke("dead", "edit", task_id, "-a", "order:=8")
    assert done.exit_code == 1
    assert "The arguments are unreadable here" in done.stderr
    moved = invoke("dead", "edit", task_id, "--queue", "mail")
    assert moved.exit_code == 1
    assert "was not retried: its record in the store is damaged." in moved.stderr


class TestEditing:
    """`asynctasq dead edit`."""

    @pytest.fixture
    def task_id(self) -> str:
        """Return the ID of a dead letter whose task cannot be imported."""
        return with_store(partial(one_payment, task="gone:pay"))

    @pytest.fixture
    def known_id(self, tmp_path: Path) -> str:
        """Return the ID of a dead letter whose task is in the current folder."""
        (tmp_path / "shop_of_operators.py").write_text(SHOP)
        return with_store(one_payment)

    @staticmethod
    def details(task_id: str) -> TaskDetails:
        async def get(app: App) -> TaskDetails:
            return await app.tasks.get(task_id)

        return with_store(get)

    def test_arguments_are_changed_by_name(self, invoke: Invoke, known_id: str) -> None:
        done = invoke("dead", "edit", known_id, "-a", "order:=8", "-a", "note=a=b")
        assert (done.exit_code, done.stdout) == (0, f"Changed and retried {known_id}.\n")
        assert self.details(known_id).arguments == Arguments((8, "pw"), {"note": "a=b"})

    def test_arguments_are_changed_by_number_without_the_code(
        self, invoke: Invoke, task_id: str
    ) -> None:
        done = invoke("dead", "edit", task_id, "-a", "0:=[1]", "-a", "note:=null", "--json")
        assert json.loads(done.stdout) == {"id": task_id, "outcome": "retried"}
        assert self.details(task_id).arguments == Arguments(([1], "pw"), {"note": None})

    def test_options_are_changed(self, invoke: Invoke, task_id: str) -> None:
        options = ["--queue", "mail", "--priority", "9", "--max-attempts", "5"]
        assert invoke("dead", "edit", task_id, *options).exit_code == 0
        changed: Any = self.details(task_id).info.message
        assert (changed.queue, changed.priority, changed.max_attempts) == ("mail", 9, 5)
        again = invoke("dead", "edit", task_id, *options)
        assert (again.exit_code, again.stderr) == (1, f"Error: {task_id} is ready, not dead.\n")

    @pytest.mark.parametrize(
        "change, expected",
        [
            ("to=x", "no such argument (arguments: 0, 1, note)"),
            ("5=x", "no such argument"),
            ("note", "must be NAME=TEXT"),
            ("=x", "must be NAME=TEXT"),
            ("note:=x", "is not valid JSON"),
        ],
    )
    def test_an_invalid_change_is_refused(
        self, invoke: Invoke, task_id: str, change: str, expected: str
    ) -> None:
        done = invoke("dead", "edit", task_id, "-a", change)
        assert done.exit_code == 2
        assert expected in done.stderr

    def test_arguments_that_do_not_match_the_task_are_refused(
        self, invoke: Invoke, known_id: str
    ) -> None:
        done = invoke("dead", "edit", known_id, "-a", "to=x")
        assert done.exit_code == 2
        assert "do not match the parameters of the task" in done.stderr

    def test_a_change_is_required(self, invoke: Invoke, task_id: str) -> None:
        assert invoke("dead", "edit", task_id).exit_code == 2
        assert invoke("dead", "edit", task_id, "--queue", "no queue").exit_code == 2
        assert invoke("dead", "edit", UNKNOWN, "--queue", "q").exit_code == 5
