"""`asynctasq drivers check`: a report on a store in use."""

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from asynctasq.cli import drivers, main
from asynctasq.cli.drivers import command_without_only, found_in
from asynctasq.conformance import all_checks, themes
from asynctasq.conformance.impact import (
    BESIDE_GUARANTEES,
    CAPABILITIES,
    GUARANTEES,
    meanings_of,
)
from asynctasq.conformance.rules import RULES
from asynctasq.conformance.runner import CheckResult
from asynctasq.conformance.theme_names import THEME_NAMES
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.message import Message, new_id
from tests.plugins.conftest import Site
from tests.plugins.conftest import site as site

CARELESS = """
from asynctasq.contracts.capabilities import Capability
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.settlement import Settled


class Careless(MemoryDriver):
    capabilities = MemoryDriver.capabilities & ~(Capability.UNIQUE | Capability.CANCEL)

    async def settle(self, settlements):
        await super().settle(settlements)
        return [Settled.DONE for _ in settlements]
"""
PLUGIN = """
from asynctasq.hookspecs import hookimpl


@hookimpl
def create_driver(name, settings):
    from careless.driver import Careless
    return Careless()
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["drivers", "check", *arguments])


@pytest.fixture
def careless(site: Site) -> None:
    """Provide a driver that accepts every settlement and has no setting `namespace`."""
    site.install(
        "careless-driver",
        "[asynctasq.drivers]\ncareless = careless.plugin\n",
        {"careless.plugin": PLUGIN, "careless.driver": CARELESS},
    )


def test_a_good_driver_passes_on_a_store_in_use_without_changing_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    themes = {"enqueue", "lease", "dead_letters", "pause", "results"}
    only = [part for theme in themes for part in ("--only", theme)]
    result = run(f"sqlite:///{path}?synchronous=off", *only)
    assert result.exit_code == 0, result.output
    expected = sum(check.theme in themes for check in all_checks())
    assert f"{expected} passed in " in result.output
    assert "a. Nothing is lost: " in result.output
    assert "cannot tell" not in result.output
    with sqlite3.connect(path) as database:
        assert database.execute("select count(*) from messages").fetchone() == (0,)
    database.close()


@pytest.mark.usefixtures("careless")
def test_a_broken_rule_is_explained() -> None:
    result = run("careless", "--yes", "--not-durable", "--only", "lease", "--only", "order")
    assert result.exit_code == 1
    output = result.output
    assert "✗ c. Fencing: " in output
    assert "✓ f. Order: " in output
    assert "- UNIQUE: not supported, " in output
    assert "the option `unique` is refused" in output
    assert " skipped (" in output
    [block] = [each for each in output.split("\n\n") if "lease.stale_owner_" in each]
    assert re.sub(r"\s+", " ", block) == (
        "✗ lease.stale_owner_changes_nothing (guarantee c, rule 9) "
        "Checked Stale owner changes nothing. No call of an owner that lost its lease affects the "
        "run that followed. "
        "Found answer to a stale Complete: the contract wants [LOST], the driver gave [DONE]. "
        f"Rule 9 {RULES[9].replace('`', '')} "
        f"For users {GUARANTEES['c'].broken} "
        "Run again asynctasq drivers check careless --not-durable --yes --only "
        "stale_owner_changes_nothing"
    )
    assert output.count(RULES[9].split("`")[0].strip()[:40]) == 1


def test_failures_that_a_driver_declares_are_shown(site: Site) -> None:
    declared = CARELESS.replace(
        "    async def settle",
        '    known_failures = {"mixed_batch_answers_in_order": "the service answers for all items"}\n\n    async def settle',
    )
    site.install(
        "careless-driver",
        "[asynctasq.drivers]\ncareless = careless.plugin\n",
        {"careless.plugin": PLUGIN, "careless.driver": declared},
    )
    result = run("careless", "--yes", "--only", "mixed_batch_answers_in_order")
    assert result.exit_code == 0, result.output
    assert "settle.mixed_batch_answers_in_order: the service answers for all items" in result.output
    assert "1 failed as the driver declares" in result.output
    [check] = json.loads(
        run("careless", "--yes", "--only", "mixed_batch_answers_in_order", "--json").stdout
    )["checks"][:1]
    assert (check["outcome"], check["known"]) == (
        "known failure",
        "the service answers for all items",
    )


@pytest.mark.usefixtures("careless")
def test_a_driver_without_namespaces_requires_confirmation() -> None:
    result = run("careless")
    assert result.exit_code == 1
    assert "no setting `namespace`" in result.output
    assert "--yes" in result.output


@pytest.mark.usefixtures("careless")
def test_json_output_is_one_document() -> None:
    result = run("careless", "--yes", "--not-durable", "--only", "settle", "--json")
    assert result.exit_code == 1
    document: dict[str, Any] = json.loads(result.stdout)
    assert set(document) == {"store", "capabilities", "ok", "seconds", "tidy", "checks"}
    assert document["ok"] is False
    assert "UNIQUE" not in document["capabilities"]
    outcomes = {each["outcome"] for each in document["checks"]}
    assert outcomes == {"passed", "failed", "skipped"}
    for each in document["checks"]:
        assert {"name", "theme", "guarantees", "rule", "outcome"} <= set(each)
        assert ("lacks" in each) == (each["outcome"] == "skipped")
        if each["outcome"] == "failed":
            assert "Traceback" in each["failure"]


def test_an_unavailable_store_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run(f"sqlite:///{tmp_path}/file/store.db")
    assert result.exit_code in {1, 3}
    assert result.output.startswith("Error: ")
    assert len(result.output.splitlines()) <= 3


def test_an_unknown_check_is_an_error_that_names_it() -> None:
    result = run("memory", "--only", "nothing")
    assert result.exit_code == 2
    assert "nothing" in result.output
    for output in (result.output, run("--help").output):
        assert ", ".join(THEME_NAMES) in re.sub(r"\s+", " ", output)
    assert all(vars(theme) for theme in themes.THEMES)


def test_every_check_explains_its_effect_on_users() -> None:
    for check in all_checks():
        assert all(meanings_of(check)), check.name
        assert not check.sentence.endswith((" ", "..")), check.sentence
    assert set(BESIDE_GUARANTEES) == {check.theme for check in all_checks() if not check.proves}


def _result(error: Exception) -> CheckResult:
    return CheckResult(all_checks()[0], str(error), None, 1.5, error)


def test_findings_are_sentences() -> None:
    assert found_in(_result(AssertionError("answers: none"))) == "answers: none."
    assert (
        found_in(_result(TimeoutError())) == "the check did not finish within its time limit (2 s)."
    )
    with pytest.raises(KeyError) as caught:
        dict[str, str]()["key"]
    place = f"({Path(__file__).name}, line "
    assert found_in(_result(caught.value)).startswith(f"the driver raised KeyError: 'key' {place}")


def test_a_password_is_not_printed_in_the_command_to_repeat_a_check() -> None:
    context = drivers.check.make_context(
        "check", ["redis://me:secret@db/0", "--timeout", "5", "--json", "--only", "order"]
    )
    assert command_without_only(context) == 'asynctasq drivers check "$URL" --timeout 5.0'
    context = drivers.check.make_context("check", ["redis://db/0?a=1&b=2", "--durable", "-y"])
    assert command_without_only(context) == (
        "asynctasq drivers check 'redis://db/0?a=1&b=2' --durable --yes"
    )


def test_a_crowded_store_passes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db?synchronous=off"
    result = run(url, "--crowded", "--only", "purge", "--only", "inspect")
    assert result.exit_code == 0, result.output
    assert "cannot tell" not in result.output


@pytest.mark.usefixtures("careless")
def test_a_driver_without_namespaces_has_no_neighbours() -> None:
    result = run("careless", "--yes", "--crowded")
    assert result.exit_code == 1
    assert "no setting `namespace`" in result.output


def test_meanings_are_given_for_every_letter_and_capability() -> None:
    text = (Path(__file__).parents[2] / "docs" / "guarantees.md").read_text()
    for letter, meaning in GUARANTEES.items():
        assert f"### {letter}. {meaning.title}\n" in text
    needed = Capability.NONE
    for check in all_checks():
        assert set(check.proves) <= set(GUARANTEES)
        needed |= check.needs
    assert set(CAPABILITIES) == {flag for flag in Capability if flag in needed}


async def test_tidying_deletes_messages_in_every_state() -> None:
    from asynctasq.conformance.cleanup import tidy_up
    from asynctasq.conformance.harness import Leftovers
    from asynctasq.settlement import Fail, Reason

    driver: Driver = MemoryDriver()
    await driver.open()

    def message(**fields: Any) -> Message:
        return Message(new_id(), "q", "task", b"", **fields)

    await driver.enqueue([message() for _ in range(4)])
    await driver.enqueue([message(delay=1e6)])
    leased = await driver.reserve({"q": 2}, limit=2, owner="one", lease=60.0)
    await driver.settle([Fail(leased[0].lease, Reason.FAILED)])
    assert isinstance(driver, MemoryDriver)
    await driver.pause("q")
    assert await tidy_up(driver.clone(), Leftovers())
    assert await driver.queues() == []
    await driver.close()


@pytest.mark.parametrize(
    ("driver", "name", "reason"),
    [
        ("memory", "nonsense", "no check and no theme is called nonsense"),
        ("memory", "transactions", "does not apply to this driver, which lacks TRANSACTIONS"),
        ("sqs://us-east-1", "state", "does not apply to this driver, which lacks STATE."),
        ("sqs://us-east-1", "outage", "does not apply to this driver"),
        ("memory", "damage", "only be checked by the tests of the driver, because it damages"),
        ("sqlite:///x.db", "transactions", "because it begins transactions of an application"),
    ],
)
def test_a_theme_that_does_not_apply_is_refused_with_the_reason(
    driver: str, name: str, reason: str
) -> None:
    result = run(driver, "--only", name)
    assert result.exit_code == 2
    assert reason in result.stderr
