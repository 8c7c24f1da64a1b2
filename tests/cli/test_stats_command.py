"""Counts and finished tasks on the command line: `stats`, `queues` and `tasks --state completed`."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from asynctasq import App, Reject, Worker, task
from asynctasq.cli.stats import duration_text
from asynctasq.contracts.capabilities import Capability
from asynctasq.drivers.sqlite import SqliteDriver
from tests.cli.stores import with_store

Invoke = Callable[..., Result]


@task(queue="sums", name="stats.adds")
async def adds(number: int) -> int:
    return number + 1


@task(queue="mail", name="stats.rejects")
async def rejects() -> None:
    raise Reject("no")


async def ran(app: App) -> None:
    await app.dispatch_many([adds(number) for number in range(12)])
    await app.dispatch(rejects())
    await Worker(
        app=app, queues=["sums", "mail"], worker_id="w1", burst=True, handle_signals=False
    ).start()
    await app.dispatch(adds(100))


@pytest.fixture
def filled() -> None:
    with_store(ran)


@pytest.mark.usefixtures("filled")
def test_stats_are_printed_as_a_table(invoke: Invoke) -> None:
    done = invoke("stats", "--wide")
    assert done.exit_code == 0, done.output
    titles, _, mail, sums = done.stdout.splitlines()
    assert titles.split()[:5] == ["Queue", "Task", "Completed", "Retried", "Dead"]
    assert mail.split()[:5] == ["mail", "stats.rejects", "0", "0", "1"]
    assert sums.split()[:5] == ["sums", "stats.adds", "12", "0", "0"]
    assert " ms" in sums


@pytest.mark.usefixtures("filled")
def test_stats_are_printed_as_json_and_filtered(invoke: Invoke) -> None:
    found = json.loads(invoke("stats", "--json", "--task", "stats.a*", "--since", "2h").stdout)
    assert 7190 < found["until"] - found["since"] < 7210
    [sums] = found["tasks"]
    assert (sums["queue"], sums["task"], sums["completed"]) == ("sums", "stats.adds", 12)
    assert sums["run"]["runs"] == sums["wait"]["runs"] == 12
    assert 0 < sums["run"]["p50"] <= sums["run"]["p95"] <= sums["run"]["p99"]
    [mail] = json.loads(invoke("stats", "--json", "--queue", "mail").stdout)["tasks"]
    assert mail["dead"] == 1


@pytest.mark.usefixtures("filled")
def test_times_without_runs_say_so(invoke: Invoke) -> None:
    done = invoke("stats", "--since", "20d", "--until", "10d")
    assert done.stdout.startswith("No runs in ")
    nothing = json.loads(invoke("stats", "--queue", "nothing", "--json").stdout)
    assert nothing["tasks"] == []


@pytest.mark.usefixtures("filled")
def test_queues_show_the_rate(invoke: Invoke) -> None:
    table = invoke("queues", "--wide").stdout
    assert "Per minute" in table
    by_name = {each["name"]: each for each in json.loads(invoke("queues", "--json").stdout)}
    assert 1.9 < by_name["sums"]["completed_per_minute"] <= 2.4
    assert by_name["mail"]["completed_per_minute"] == 0.0
    assert by_name["sums"]["oldest_ready_age"] >= 0


@pytest.mark.usefixtures("filled")
def test_completed_tasks_are_listed(invoke: Invoke) -> None:
    done = invoke("tasks", "--state", "completed", "--wide")
    assert done.exit_code == 0, done.output
    titles, _, *rows = done.stdout.splitlines()
    assert titles.split()[:5] == ["ID", "Task", "State", "Queue", "Finished"]
    assert len(rows) == 12
    assert all(" stats.adds " in row and " w1" in row for row in rows)
    assert "the last 100 tasks of each queue" in done.stderr
    found = json.loads(invoke("tasks", "list", "--state", "completed", "--json").stdout)["tasks"]
    assert len(found) == 12
    assert {each["queue"] for each in found} == {"sums"}
    assert {each["attempts"] for each in found} == {1}
    assert all(each["run_seconds"] > 0 and each["started_at"] > 0 for each in found)
    three = json.loads(invoke("tasks", "--state", "completed", "--limit", "3", "--json").stdout)[
        "tasks"
    ]
    assert [each["id"] for each in three] == [each["id"] for each in found[:3]]
    shown = invoke("tasks", "show", found[0]["id"]).stdout
    assert "stats.adds" in shown


@pytest.mark.usefixtures("filled")
def test_finished_tasks_are_filtered(invoke: Invoke) -> None:
    def listed(*options: str) -> int:
        done = invoke("tasks", "--state", "completed", "--json", *options)
        return len(json.loads(done.stdout)["tasks"])

    assert listed("--task", "other") == listed("--queue", "mail") == 0
    assert listed("--since", "1h") == 12
    assert listed("--until", "1h") == 0
    nothing = invoke("tasks", "--state", "cancelled")
    assert nothing.stdout.startswith("No matching tasks")


def test_finished_tasks_are_listed_alone(invoke: Invoke) -> None:
    mixed = invoke("tasks", "--state", "completed", "--state", "ready")
    assert (mixed.exit_code, "Leave out the other states" in mixed.stderr) == (2, True)
    paged = invoke("tasks", "--state", "completed", "--cursor", "x")
    assert (paged.exit_code, "Leave out --cursor" in paged.stderr) == (2, True)


def test_driver_that_keeps_no_counts_is_refused(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = SqliteDriver.capabilities & ~Capability.METRICS
    monkeypatch.setattr(SqliteDriver, "capabilities", without)
    with_store(ran)
    for command in (["stats"], ["tasks", "--state", "completed"]):
        done = invoke(*command)
        assert done.exit_code == 4, done.output
        assert "needs the capability METRICS" in done.stderr
    [queue] = json.loads(invoke("queues", "list", "sums", "--json").stdout)
    assert queue["completed_per_minute"] is None
    assert invoke("queues").exit_code == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.0, "0 ms"),
        (0.00123, "1.23 ms"),
        (0.9991, "999 ms"),
        (0.9996, "1 s"),
        (12.345, "12.3 s"),
        (99.4, "99.4 s"),
        (99.6, "1.66 min"),
        (7199.0, "120 min"),
        (7300.0, "2.03 h"),
    ],
)
def test_durations_have_three_digits(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text
