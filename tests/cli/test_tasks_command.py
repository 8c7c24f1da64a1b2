"""`asynctasq tasks`."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result

from asynctasq import App
from tests.cli.stores import with_store
from tests.operations.staging import bury, complete, enqueue, message, reserve
from tests.operations.test_task_operations import UNKNOWN

Invoke = Callable[..., Result]

SHOP = """\
from functools import wraps

from asynctasq import AsyncTask, task


@task
async def pay(order: int, password: str, *, note: str = "") -> None: ...


def with_session(function):
    @wraps(function)
    async def wrapper(*args, **kwargs):
        return await function("session", *args, **kwargs)

    return wrapper


@task
@with_session
async def pay_in_session(session: str, order: int, password: str, *, note: str = "") -> None: ...


class Pay(AsyncTask[None]):
    def __init__(self, order: int, password: str, *, note: str = "") -> None: ...

    async def execute(self) -> None: ...
"""


@pytest.fixture
def shop(tmp_path: Path) -> None:
    """Write the code of the tasks into the current folder."""
    (tmp_path / "shop_of_operators.py").write_text(SHOP)


async def some_of_each(app: App) -> list[str]:
    running = await enqueue(app, message(app))
    await reserve(app)
    ready = await enqueue(app, message(app, task="mail:send", queue="mail"))
    scheduled = await enqueue(app, message(app, delay=3600.0))
    dead = await bury(app, message(app))
    return [*running, *ready, *scheduled, *dead]


async def one_payment(app: App, task: str = "shop_of_operators:pay") -> str:
    [task_id] = await bury(app, message(app, 7, "pw", named={"note": "n"}, task=task))
    return task_id


def ids(done: Result) -> list[str]:
    return [task["id"] for task in json.loads(done.stdout)["tasks"]]


def test_tasks_are_listed_as_a_table(invoke: Invoke) -> None:
    running, ready, scheduled, _dead = with_store(some_of_each)
    done = invoke("tasks")
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()[2:]]
    assert [line[:4] for line in lines] == [
        [running, "shop:pay", "running", "default"],
        [ready, "mail:send", "ready", "mail"],
        [scheduled, "shop:pay", "scheduled", "default"],
    ]
    assert lines[0][-1] == "w1"


def test_tasks_are_filtered_by_state_queue_name_and_time(invoke: Invoke) -> None:
    running, ready, scheduled, dead = with_store(some_of_each)
    every = ["tasks", "list", "--json"]
    assert ids(invoke(*every)) == [running, ready, scheduled]
    assert ids(invoke(*every, "--state", "dead", "--state", "ready")) == [ready, dead]
    assert ids(invoke(*every, "--queue", "mail")) == [ready]
    assert ids(invoke(*every, "--task", "shop:*")) == [running, scheduled]
    assert ids(invoke(*every, "--since", "1h")) == [running, ready, scheduled]
    assert ids(invoke(*every, "--until", "2026-01-01")) == []
    assert invoke("tasks", "--until", "1h").stdout.startswith("No matching tasks in ")
    wrong = invoke("tasks", "--since", "yesterday")
    assert wrong.exit_code == 2
    assert "Pass how long ago" in wrong.stderr


def test_a_cursor_continues_after_the_page(invoke: Invoke) -> None:
    running, ready, scheduled, _dead = with_store(some_of_each)
    first = json.loads(invoke("tasks", "--json", "--limit", "2").stdout)
    assert [task["id"] for task in first["tasks"]] == [running, ready]
    second = invoke("tasks", "--json", "--limit", "2", "--cursor", first["cursor"])
    assert ids(second) == [scheduled]
    assert json.loads(second.stdout)["cursor"] is None
    table = invoke("tasks", "--limit", "2")
    assert f"--cursor {first['cursor']}" in table.stderr
    assert invoke("tasks", "--cursor", "nonsense").exit_code == 2
    assert invoke("tasks", "--cursor", "ready:nonsense").exit_code == 2


def test_json_of_a_listing_has_a_line_for_each_task(invoke: Invoke) -> None:
    with_store(some_of_each)
    head, *lines, end = invoke("tasks", "--json").stdout.splitlines()
    assert (head, end) == ('{"tasks": [', '], "cursor": null}')
    task = json.loads(lines[0].rstrip(","))
    assert (task["state"], task["task"], task["queue"]) == ("running", "shop:pay", "default")


@pytest.mark.usefixtures("shop")
def test_a_task_is_shown_without_its_arguments_unless_asked(invoke: Invoke) -> None:
    task_id = with_store(one_payment)
    shown = invoke("tasks", "show", task_id).stdout
    assert "Arguments     hidden (--arguments shows)" in shown
    assert "State         dead (failed)" in shown
    assert "Error         shop.errors.Refused: no money" in shown
    assert shown.endswith("Traceback ...\nshop.errors.Refused: no money\n")
    asked = invoke("tasks", "show", task_id, "--arguments").stdout
    assert "order = 7" in asked
    assert 'note = "n"' in asked
    assert '"pw"' not in asked
    assert 'password = "***"' in asked


@pytest.mark.usefixtures("shop")
def test_settings_control_which_arguments_are_shown(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = with_store(one_payment)
    monkeypatch.setenv("ASYNCTASQ_SHOW_ARGUMENTS", "true")
    monkeypatch.setenv("ASYNCTASQ_REDACT_ARGUMENTS", "order")
    shown = json.loads(invoke("tasks", "show", task_id, "--json").stdout)
    assert shown["arguments"] == {"order": "***", "password": "pw", "note": "n"}
    hidden = json.loads(invoke("tasks", "show", task_id, "--json", "--no-arguments").stdout)
    assert (hidden["arguments"], hidden["hidden"]) == (None, True)


def test_positional_arguments_are_hidden_if_the_task_cannot_be_imported(invoke: Invoke) -> None:
    task_id = with_store(partial(one_payment, task="gone:pay"))
    done = invoke("tasks", "show", task_id, "--arguments", "--json")
    assert json.loads(done.stdout)["arguments"] == {"0": "***", "1": "***", "note": "n"}
    assert "--app MODULE" in done.stderr


@pytest.mark.usefixtures("shop")
def test_positional_arguments_of_a_decorator_are_hidden(invoke: Invoke) -> None:
    task_id = with_store(partial(one_payment, task="shop_of_operators:pay_in_session"))
    done = invoke("tasks", "show", task_id, "--arguments", "--json")
    assert json.loads(done.stdout)["arguments"] == {"0": "***", "1": "***", "note": "n"}


@pytest.mark.usefixtures("shop")
def test_positional_arguments_of_a_class_have_the_names_of_its_constructor(invoke: Invoke) -> None:
    task_id = with_store(partial(one_payment, task="shop_of_operators:Pay"))
    done = invoke("tasks", "show", task_id, "--arguments", "--json")
    assert json.loads(done.stdout)["arguments"] == {"order": 7, "password": "***", "note": "n"}


def test_a_completed_task_is_shown_with_its_result(invoke: Invoke) -> None:
    async def completed(app: App) -> str:
        return await complete(app, message(app), {"paid": True, "token": "t"})

    task_id = with_store(completed)
    assert "Result        hidden" in invoke("tasks", "show", task_id).stdout
    shown = invoke("tasks", "show", task_id, "--arguments", "--json").stdout
    assert json.loads(shown)["result"] == {"paid": True, "token": "***"}


def test_names_of_tasks_cannot_control_the_terminal(invoke: Invoke) -> None:
    async def hostile(app: App) -> str:
        await enqueue(app, message(app, task="shop:\x1b[2J\u202e"))
        return (await app.tasks.page()).items[0].id

    task_id = with_store(hostile)
    assert "\x1b" not in invoke("tasks").stdout
    assert r"shop:\x1b[2J\u202e" in invoke("tasks", "show", task_id).stdout


def test_an_unknown_task_has_an_exit_code_of_its_own(invoke: Invoke) -> None:
    with_store(some_of_each)
    done = invoke("tasks", "show", UNKNOWN)
    assert done.exit_code == 5
    assert done.stderr.startswith(f"Error: No task {UNKNOWN}")
    assert invoke("tasks", "show", "seven").exit_code == 2


def test_cancelling_asks_first(invoke: Invoke) -> None:
    _, ready, _, _ = with_store(some_of_each)
    done = invoke("tasks", "cancel", ready)
    assert done.exit_code == 2
    assert "Cancel 1 task in " in done.stderr
    assert "ready" in invoke("tasks", "show", ready).stdout


def test_cancelling_prints_the_outcome_of_each_task(invoke: Invoke) -> None:
    running, ready, _, dead = with_store(some_of_each)
    done = invoke("tasks", "cancel", running, ready, "--yes")
    assert done.exit_code == 0
    assert done.stdout == (
        f"{running}  running; its worker will interrupt it\n{ready}  cancelled\n"
    )
    late = invoke("tasks", "cancel", dead, "--yes", "--json")
    assert late.exit_code == 1
    assert json.loads(late.stdout) == [{"id": dead, "outcome": "too_late"}]


def test_a_dead_task_is_retried(invoke: Invoke) -> None:
    _, ready, _, dead = with_store(some_of_each)
    assert invoke("tasks", "retry", dead).stdout == "Retried 1 of 1 dead letter.\n"
    again = invoke("tasks", "retry", dead, ready)
    assert again.exit_code == 1
    assert f"{ready}  not retried: not dead" in again.stdout
