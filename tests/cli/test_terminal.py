"""Output on a terminal of 80 columns, and in a pipe."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from asynctasq import App
from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.message import Message, id_from_text
from asynctasq.settlement import ErrorInfo, Reason, Retry
from tests.cli.stores import with_store
from tests.cli.terminals import on_terminal
from tests.operations.staging import bury, enqueue, message, reserve

pytestmark = pytest.mark.sampled(2)

Invoke = Callable[..., Result]

IDS = [f"01a22cc7-9810-7e73-8a69-34b1{digits}" for digits in ("91a7eece", "a4895a89", "62a312d0")]
LONG = ErrorInfo(
    "shop.bank.errors.CardDeclined",
    "the bank declined the card of customer 4711: insufficient funds, and the text goes on and on",
    "Traceback ...",
)


def named(app: App, number: int, task: str, **options: Any) -> Message:
    return replace(message(app, task=task, max_attempts=3, **options), id=id_from_text(IDS[number]))


async def three_dead(app: App) -> None:
    await bury(app, named(app, 0, "shop.orders.tasks:charge_customer"), error=LONG)
    await bury(app, named(app, 1, "mail:send", queue="mail"), reason=Reason.LOST, error=None)
    await bury(app, named(app, 2, "shop:refund"), error=LONG)


async def three_waiting(app: App) -> None:
    await enqueue(app, named(app, 0, "shop.orders.tasks:charge_customer"))
    [delivery] = await reserve(app)
    driver = await app.driver()
    await driver.settle([Retry(delivery.lease, 3000.0, LONG)])
    await enqueue(app, named(app, 1, "mail:send", queue="reports.nightly"))
    await enqueue(app, named(app, 2, "shop:refund"))
    await reserve(app)


def test_dead_letters_show_their_error_at_80_columns() -> None:
    with_store(three_dead)
    shown = on_terminal("dead").splitlines()
    assert [re.sub(r"\d s ", "5 s ", line) for line in shown] == [
        "ID        Task                   Died  Queue    Reason  Error",
        "─" * 80,
        "62a312d0  shop:refund             5 s  default  failed  CardDeclined: the bank…",
        "a4895a89  mail:send               5 s  mail     lost",
        "91a7eece  shop.orders.tasks:      5 s  default  failed  CardDeclined: the bank…",
        "          charge_customer",
        "(no room for Failed; --wide shows all)",
    ]


def test_wide_tables_and_pipes_show_everything(invoke: Invoke) -> None:
    with_store(three_dead)
    for shown in (on_terminal("dead", "--wide"), invoke("dead").stdout):
        assert all(each in shown for each in IDS)
        assert f"CardDeclined: {LONG.message}" in shown
        assert "1 of 3" in shown


def test_tasks_show_their_last_error_at_80_columns() -> None:
    with_store(three_waiting)
    shown = on_terminal("tasks").splitlines()
    assert all(len(line) <= 80 for line in shown)
    titles, _, running, ready, scheduled, *_ = shown
    assert titles.split() == ["ID", "Task", "State", "Queue", "Age", "Due", "Last", "error"]
    assert running.split()[:4] == ["62a312d0", "shop:refund", "running", "default"]
    assert ready.split()[:4] == ["a4895a89", "mail:send", "ready", "reports."]
    assert "CardDecl" in f"{scheduled}{shown[5]}"


def test_very_narrow_terminals_show_a_block_for_each_task() -> None:
    with_store(three_dead)
    first = on_terminal("dead", columns=40).split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in first] == [
        "ID",
        "Task",
        "Died",
        "Queue",
        "Reason",
        "Failed",
        "Error",
    ]


def test_workers_and_plugins_fit_80_columns() -> None:
    async def serve(app: App) -> None:
        driver: Any = await app.driver()
        worker = WorkerInfo(
            "a-host-with-a-long-name.example-21273-4cba55",
            "a-host-with-a-long-name.example",
            21273,
            time.time(),
            ("default", "mail", "reports.nightly"),
            100,
            2,
            "0.1.0",
            seen_at=time.time(),
        )
        await driver.record_worker(worker, ttl=60.0)

    with_store(serve)
    for command in ("workers", "plugins list", "plugins list --check"):
        shown = on_terminal(*command.split()).splitlines()
        assert all(len(line) <= 80 for line in shown), "\n".join(shown)
    assert "2 of 100" in on_terminal("workers")


def test_a_terminal_without_unicode_gets_plain_lines(tmp_path: Path) -> None:
    with_store(three_dead)
    shown = on_terminal("dead", PYTHONIOENCODING="ascii")
    assert "-" * 80 in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("part", ["91a7eece", "34b191a7eece", "91A7EECE", "8a69-34b191a7eece"])
def test_a_task_is_shown_by_the_end_of_its_id(invoke: Invoke, part: str) -> None:
    with_store(three_dead)
    assert IDS[0] in invoke("tasks", "show", part).stdout
    assert IDS[0] in invoke("dead", "show", part).stdout


def test_parts_of_ids_are_accepted_wherever_ids_are(invoke: Invoke) -> None:
    with_store(three_dead)
    retried = invoke("dead", "retry", "a4895a89", IDS[0])
    assert retried.stdout == "Retried 2 of 2 dead letters.\n"
    cancelled = invoke("tasks", "cancel", "a4895a89", "--yes")
    assert cancelled.stdout == f"{IDS[1]}  cancelled\n"
    edited = invoke("dead", "edit", "62a312d0", "--queue", "mail")
    assert edited.stdout == f"Changed and retried {IDS[2]}.\n"
    assert invoke("tasks", "retry", "91a7eece").exit_code == 1
    with_store(lambda app: bury(app, named(app, 1, "mail:send")))


def test_an_ambiguous_part_of_an_id_lists_the_matches(invoke: Invoke) -> None:
    with_store(three_dead)
    done = invoke("dead", "delete", "01a22cc7", "--yes")
    assert done.exit_code == 2
    assert "'01a22cc7' is ambiguous." in done.stderr
    assert all(each in done.stderr for each in IDS)
    assert all(each in invoke("dead").stdout for each in IDS)


@pytest.mark.parametrize("command", ["tasks show", "dead show", "dead retry", "tasks retry"])
def test_an_unknown_part_of_an_id_is_an_error(invoke: Invoke, command: str) -> None:
    with_store(three_dead)
    done = invoke(*command.split(), "ffffffff")
    assert (done.exit_code, done.stdout) == (5, "")
    assert "has an ID that begins or ends with 'ffffffff'" in done.stderr


@pytest.mark.parametrize("text", ["seven", "91a", "-", "91a7-zz", "g" * 36])
def test_an_invalid_id_is_a_usage_error(invoke: Invoke, text: str) -> None:
    with_store(three_dead)
    done = invoke("dead", "show", "--", text)
    assert done.exit_code == 2
    assert "Error: " in done.stderr
