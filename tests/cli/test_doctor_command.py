"""`asynctasq doctor`: its report, its JSON document and its exit codes."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from asynctasq import App
from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.operations.diagnosis import CHECKS
from tests.cli.stores import with_store
from tests.operations.staging import bury, enqueue, message

Invoke = Callable[..., Result]

UNDECLARED = (
    "Schedules that the code declares no more, and that fire for a day after their last worker"
)
APPLICATION = """\
import asynctasq
from asynctasq import task

asynctasq.init({{"driver": "sqlite", "outbox": {outbox!r}}})


@task(name="doctored.known")
async def known() -> None: ...
"""


async def nothing(app: App) -> None:
    await app.driver()


async def waiting(app: App) -> None:
    await enqueue(app, message(app), message(app, queue="later", delay=60.0))
    await bury(app, message(app, queue="mail"))
    await enqueue(app, message(app, queue="held"))
    await app.queues.pause("held")
    await enqueue(app, message(app, queue="resting"))
    driver: Any = await app.driver()
    worker = WorkerInfo("w", "h", 1, 0.0, ("resting",), 1, 0, "1", time.time(), "quiet")
    await driver.record_worker(worker, ttl=60.0)


def checks(done: Result) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for each in json.loads(done.stdout)["checks"]:
        found.setdefault(each["check"], []).append(each)
    assert list(found) == list(CHECKS)
    return found


def test_an_empty_store_has_no_problem(invoke: Invoke) -> None:
    with_store(nothing)
    done = invoke("doctor")
    assert done.exit_code == 0, done.output
    assert "ok           version       SQLite 3." in done.stdout
    assert "are up to date: version" in done.stdout
    assert "warning      workers       There is no live worker." in done.stdout
    assert done.stdout.endswith("\n1 warning.\n")


def test_queues_that_nobody_serves_are_a_problem(invoke: Invoke) -> None:
    with_store(waiting)
    done = invoke("doctor", "--json")
    assert done.exit_code == 1, done.output
    assert not json.loads(done.stdout)["ok"]
    found = checks(done)
    assert [(each["status"], each["remedy"]) for each in found["queues"]] == [
        ("problem", "Start one: asynctasq worker --app MODULE --queues default"),
        ("warning", "Start one: asynctasq worker --app MODULE --queues later"),
        ("warning", "To resume quiet ones: asynctasq workers resume --queue resting"),
    ]
    [paused] = found["paused"]
    assert (paused["status"], paused["text"]) == ("warning", "Paused: held.")
    [dead] = found["dead-letters"]
    assert (dead["status"], dead["text"]) == ("warning", "Dead letters by queue: mail 1.")


def test_settings_are_shown_with_their_sources_and_without_secrets(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("ASYNCTASQ_CONCURRENCY=7\n")
    (tmp_path / "app.py").write_text(
        'import asynctasq\nasynctasq.init({"default_queue": "mail", "redis": {"password": "geheim"}})\n'
    )
    monkeypatch.setenv("ASYNCTASQ_STATE", "none")
    options = ("--app", "app", "--driver", "redis://me:geheim@127.0.0.1:1/0")
    done = invoke("doctor", "--json", *options)
    assert done.exit_code == 3, done.output
    settings = {each["name"]: each for each in json.loads(done.stdout)["settings"]}
    assert {name: (each["place"], each["key"]) for name, each in settings.items()} == {
        "concurrency": (".env line 1", "ASYNCTASQ_CONCURRENCY"),
        "default_queue": ("arguments", "default_queue"),
        "driver": ("command line", "driver"),
        "redis.password": ("arguments", "redis.password"),
        "state": ("environment", "ASYNCTASQ_STATE"),
    }
    assert settings["driver"]["value"] == "'redis://me:***@127.0.0.1:1/0'"
    text = invoke("doctor", *options).stdout
    assert "concurrency = '7'  (ASYNCTASQ_CONCURRENCY, .env line 1)" in text
    assert "geheim" not in done.output + text


@pytest.mark.parametrize(
    "driver", ["redis://127.0.0.1:1/0", "postgres://me@127.0.0.1:1/db", "mysql://me@127.0.0.1:1/db"]
)
def test_without_the_store_the_rest_is_not_checked(invoke: Invoke, driver: str) -> None:
    done = invoke("doctor", "--json", "--driver", driver)
    assert done.exit_code == 3, done.output
    found = {name: each[0]["status"] for name, each in checks(done).items()}
    assert found.pop("settings") == found.pop("driver") == "ok"
    assert found.pop("store") == "problem"
    assert set(found.values()) == {"not checked"}


def test_a_missing_file_is_not_created(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("doctor")
    assert done.exit_code == 3, done.output
    assert "There is no store at" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "variable, value, check",
    [("CONCURRENCY", "many", "settings"), ("DRIVER", "nonesuch", "driver")],
)
def test_an_application_that_cannot_be_loaded(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, check: str
) -> None:
    monkeypatch.setenv(f"ASYNCTASQ_{variable}", value)
    done = invoke("doctor", "--json")
    assert done.exit_code == 1, done.output
    found = {name: each[0] for name, each in checks(done).items()}
    assert value in found.pop(check)["text"]
    assert {each["status"] for each in found.values()} == {"not checked"}


def test_schedules_that_do_not_fire_are_reported(invoke: Invoke, tmp_path: Path) -> None:
    async def scheduled(app: App) -> None:
        module = import_module("app")
        await module.known().schedule("good", every=60)
        await module.known().schedule("held", every=60)
        await app.schedules.pause("held")
        driver: Any = await app.driver()
        [good] = await driver.find_schedules(["good"])
        stranger = good.definition.replace(b"doctored.known", b"doctored.other")
        lost = type(good)("lost", stranger, 9e9)
        former = replace(good, id="doctored.known", declared_by="app")
        await driver.put_schedules([lost, former])

    (tmp_path / "app.py").write_text(APPLICATION.format(outbox=None))
    with_store(nothing)
    assert invoke("doctor", "--app", "app").exit_code == 0
    with_store(scheduled)
    done = invoke("doctor", "--app", "app", "--json")
    assert done.exit_code == 1, done.output
    assert [(each["status"], each["text"]) for each in checks(done)["schedules"]] == [
        ("problem", "Schedules of tasks that the application does not have: lost."),
        ("warning", f"{UNDECLARED}: doctored.known."),
        ("warning", "Paused schedules: held."),
    ]


def test_an_outbox_is_looked_at(invoke: Invoke, tmp_path: Path) -> None:
    with_store(nothing)
    (tmp_path / "app.py").write_text(APPLICATION.format(outbox=f"sqlite:///{tmp_path}/shop.db"))
    done = invoke("doctor", "--app", "app", "--json")
    assert done.exit_code == 1, done.output
    [outbox] = checks(done)["outbox"]
    assert outbox["status"] == "problem"
    assert invoke("migrate", "--app", "app").exit_code == 0
    [outbox] = checks(invoke("doctor", "--app", "app", "--json"))["outbox"]
    assert outbox["text"] == "0 messages wait."
