"""`asynctasq schedules`."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from click.testing import Result

from asynctasq import App, task
from tests.cli.stores import with_store

Invoke = Callable[..., Result]
NEW_YEAR = datetime(2100, 1, 1, tzinfo=UTC)


@task(name="cli_schedules.report")
async def report() -> None: ...


async def two_schedules(app: App) -> None:
    async with app:
        await report().schedule("nightly report", cron="0 3 * * *", zone="Europe/Berlin")
        await report().schedule("new year", at=NEW_YEAR)


@pytest.fixture
def filled() -> None:
    with_store(two_schedules)


@pytest.mark.usefixtures("filled")
def test_schedules_are_listed(invoke: Invoke) -> None:
    done = invoke("schedules", "--wide")
    assert done.exit_code == 0, done.output
    _, titles, _, first, second = done.stdout.splitlines()
    assert titles.split() == ["Schedule", "Task", "Times", "Next", "Last", "Status"]
    assert first.startswith("new year")
    assert "cron 0 3 * * * Europe/Berlin" in second
    assert first.rstrip().endswith("active")
    listed = json.loads(invoke("schedules", "list", "--json", "--limit", "1").stdout)
    assert [each["name"] for each in listed["schedules"]] == ["new year"]
    rest = json.loads(invoke("schedules", "--json", "--cursor", listed["cursor"]).stdout)
    assert [each["name"] for each in rest["schedules"]] == ["nightly report"]
    assert rest["cursor"] is None


@pytest.mark.usefixtures("filled")
def test_one_schedule_is_shown_with_its_next_times(invoke: Invoke) -> None:
    done = invoke("schedules", "show", "nightly report")
    assert done.exit_code == 0, done.output
    assert "Times:       cron 0 3 * * * Europe/Berlin" in done.stdout
    assert "Last fired:  never" in done.stdout
    shown = json.loads(invoke("schedules", "show", "nightly report", "--json").stdout)
    assert len(shown["next_times"]) == 5
    assert shown["task"] == "cli_schedules.report"


@pytest.mark.usefixtures("filled")
def test_a_schedule_is_paused_resumed_and_removed(invoke: Invoke) -> None:
    def status() -> str:
        shown = json.loads(invoke("schedules", "show", "new year", "--json").stdout)
        return str(shown["status"])

    assert invoke("schedules", "pause", "new year").stdout == "Paused new year.\n"
    assert status() == "paused"
    resumed = json.loads(invoke("schedules", "resume", "new year", "--json").stdout)
    assert resumed == {"name": "new year", "paused": False}
    assert status() == "active"
    assert invoke("schedules", "remove", "new year").exit_code != 0  # stdin is not a terminal
    assert invoke("schedules", "remove", "new year", "--yes").stdout == "Removed new year.\n"
    done = invoke("schedules", "show", "new year")
    assert done.exit_code == 5
    assert "There is no schedule 'new year'" in done.stderr


@pytest.mark.usefixtures("filled")
def test_a_schedule_runs_now(invoke: Invoke) -> None:
    task_id = invoke("schedules", "run", "new year").stdout.strip()
    shown = json.loads(invoke("tasks", "show", task_id, "--json").stdout)
    assert shown["task"] == "cli_schedules.report"
    again = json.loads(invoke("schedules", "run", "new year", "--json").stdout)
    assert again["name"] == "new year"
    for name in ("pause", "resume", "run"):
        assert invoke("schedules", name, "other").exit_code == 5


def test_a_store_without_schedules_says_so(invoke: Invoke) -> None:
    async def nothing(app: App) -> None:
        await app.open()

    with_store(nothing)
    assert "No schedules in" in invoke("schedules").stdout
