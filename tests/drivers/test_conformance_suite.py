"""The conformance suite as a thing of its own: what it selects, forbids and notices."""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import pytest

from asynctasq.conformance.formatting import show
from asynctasq.conformance.harness import random_name
from asynctasq.conformance.rules import RULES, SECTIONS
from asynctasq.conformance.runner import guarantees, select_checks
from asynctasq.contracts.capabilities import RESERVED, Capability
from asynctasq.contracts.driver import Driver, Enqueued, QueueCounts
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.message import Delivery, Message, State, id_to_text, new_id
from asynctasq.settlement import Settled
from asynctasq.testing import (
    Check,
    DriverConformance,
    Harness,
    all_checks,
    run_check,
    run_conformance,
)


class NoPriority(MemoryDriver):
    capabilities = MemoryDriver.capabilities & ~Capability.PRIORITY


class LastFirst(MemoryDriver):
    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        return (await super().reserve(queues, limit=limit, owner=owner, lease=lease))[::-1]


class InPieces(MemoryDriver):
    """Takes a chunk message by message, as a broker does."""

    capabilities = MemoryDriver.capabilities & ~Capability.ATOMIC

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        return [(await super(InPieces, self).enqueue([message]))[0] for message in messages]


class LeavesATask(MemoryDriver):
    async def open(self) -> None:
        await super().open()
        self._left = asyncio.create_task(asyncio.sleep(3600), name="left behind")


class LosesAnError(MemoryDriver):
    async def open(self) -> None:
        await super().open()
        asyncio.get_running_loop().call_soon(int, "not a number")


class ClosesWithAnError(MemoryDriver):
    async def close(self) -> None:
        await super().close()
        raise ValueError("connection already closed")


class Suite(DriverConformance):
    def make_driver(self) -> Driver:
        return MemoryDriver()


def _checks_of(suite: type[DriverConformance]) -> list[Check]:
    """Return the checks that pytest generates tests from."""
    generated: list[Check] = []

    class Metafunc:
        fixturenames = ("conformance_check",)

        def parametrize(self, names: str, values: Sequence[Check], *, ids: list[str]) -> None:
            assert len(ids) == len(values)
            generated.extend(values)

    metafunc: Any = Metafunc()
    suite().pytest_generate_tests(metafunc)
    return generated


def _check(name: str) -> Check:
    (found,) = [check for check in all_checks() if check.name == name]
    return found


def test_every_guarantee_that_a_suite_can_prove_is_proved() -> None:
    proved = guarantees(all_checks())
    assert set("abcdefghij") <= set(proved)
    assert all(len(names) >= 3 for letter, names in proved.items() if letter in "abcdefghij")


def test_every_capability_of_now_is_checked() -> None:
    needed = Capability.NONE
    for check in all_checks():
        needed |= check.needs
    assert needed == ~reduce(or_, RESERVED)


def test_driver_without_a_capability_gets_none_of_its_checks() -> None:
    class Less(Suite):
        def make_driver(self) -> Driver:
            return NoPriority()

    names = {check.name for check in _checks_of(Less)}
    assert {check.name for check in _checks_of(Suite)} - names >= {"higher_priority_comes_first"}
    assert not any(Capability.PRIORITY in check.needs for check in _checks_of(Less))


def test_only_durable_stores_are_reopened() -> None:
    class Durable(Suite):
        durable = True

    more = {check.name for check in _checks_of(Durable)} - {c.name for c in _checks_of(Suite)}
    assert "messages_outlive_the_last_open_instance" in more


def test_checks_cannot_be_overridden() -> None:
    with pytest.raises(TypeError, match="must not override test_check"):
        type("Sly", (Suite,), {"test_check": lambda self: None})


def test_misspelt_known_failure_is_an_error() -> None:
    class Misspelt(Suite):
        known_failures = {"higher_priority_comes_frist": "we cannot"}  # noqa: RUF012 - as users write it

    with pytest.raises(ValueError, match="higher_priority_comes_frist"):
        _checks_of(Misspelt)


def test_known_failure_must_fail(tmp_path: Any) -> None:
    class Wrong(Suite):
        known_failures = {"first_in_first_out": "we cannot"}  # noqa: RUF012 - as users write it

    with pytest.raises(AssertionError, match="remove it from known_failures"):
        Wrong().test_check(_check("first_in_first_out"), tmp_path)


def test_known_failure_that_fails_is_fine(tmp_path: Any) -> None:
    class Known(Suite):
        known_failures = {"within_a_chunk_the_id_decides": "no index"}  # noqa: RUF012 - as users write it

        def make_driver(self) -> Driver:
            return LastFirst()

    Known().test_check(_check("within_a_chunk_the_id_decides"), tmp_path)


def test_declared_capabilities_must_be_the_drivers(tmp_path: Any) -> None:
    class Declared(Suite):
        capabilities = Capability.FENCED

    with pytest.raises(AssertionError, match="declared"):
        Declared().test_capabilities_are_as_declared(tmp_path)


@pytest.mark.parametrize(
    ("driver", "complaint"),
    [
        (LeavesATask, "left behind"),
        (LosesAnError, "unhandled errors"),
        (ClosesWithAnError, "close raised"),
    ],
)
async def test_untidy_driver_fails_every_check(driver: type[MemoryDriver], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        await run_check(_check("first_in_first_out"), driver)


async def test_check_that_hangs_is_ended() -> None:
    async def hang(harness: Harness) -> None:
        await asyncio.Event().wait()

    hanging = Check("hangs", "none", hang, "", Capability.NONE, durable=False, summary="hangs")
    with pytest.raises(TimeoutError):
        await run_check(hanging, MemoryDriver, timeout=0.05)


async def test_report_tells_what_failed_and_why() -> None:
    report = await run_conformance(
        MemoryDriver,
        only=["first_in_first_out"],
        known_failures={"first_in_first_out": "we cannot"},
    )
    assert not report.ok
    assert "order.first_in_first_out: passes, but is declared to fail: we cannot" in str(report)


def test_selection_knows_names_and_themes() -> None:
    capabilities = MemoryDriver.capabilities
    themes = select_checks(capabilities, durable=False, only=["order", "largest_body_is_delivered"])
    assert {check.theme for check in themes} == {"order", "enqueue"}
    with pytest.raises(ValueError, match="oder"):
        select_checks(capabilities, durable=False, only=["oder"])


async def test_a_driver_that_takes_chunks_in_pieces_keeps_the_order() -> None:
    """Its messages become ready at a time for each; the order of a chunk is that of its ids all the same."""
    report = await run_conformance(InPieces, only=["order", "enqueue"])
    assert report.ok, report
    assert "within_a_chunk_the_id_decides" in {result.check.name for result in report.results}


def _factory(path: Path, *, namespace: str = "") -> Callable[[], Driver]:
    """Drivers on the file; each on a namespace of its own, unless one is given."""
    return lambda: SqliteDriver(
        path=path, namespace=namespace or random_name("n"), synchronous="off"
    )


@pytest.mark.full
async def test_the_suite_runs_beside_what_others_hold_and_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    report = await run_conformance(
        _factory(path),
        make_neighbour=_factory(path),
        only=["enqueue", "purge", "inspect", "pause", "dead_letters"],
    )
    assert report.ok, report
    assert report.tidy
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("select count(*) from messages").fetchone() == (0,)


async def test_namespaces_that_are_not_kept_apart_are_noticed(tmp_path: Path) -> None:
    """The clock that a check moves ends the leases of another application."""
    make = _factory(tmp_path / "store.db", namespace="shared")
    report = await run_conformance(
        make, make_neighbour=make, only=["completed_message_is_gone"], stop_at_first=True
    )
    [failure] = report.failures
    assert "counts of a queue in another namespace" in str(failure.failure)


async def test_each_check_deletes_what_it_made(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    for name in ("mixed_batch", "messages_outlive_the_last_open_instance", "purge_frees_keys"):
        assert await run_check(_check(name), _factory(path))
    with closing(sqlite3.connect(path)) as database:
        for table in ("messages", "unique_keys"):
            assert database.execute(f"select count(*) from {table}").fetchone() == (0,)


def test_every_rule_is_in_one_section() -> None:
    numbers = [number for rules in SECTIONS.values() for number in rules]
    assert sorted(numbers) == list(range(1, len(numbers) + 1)) == list(RULES)


def test_every_check_names_its_rules_and_every_rule_that_can_be_checked_is() -> None:
    named = {number for check in all_checks() for number in check.rules}
    assert all(check.rules for check in all_checks())
    assert set(RULES) - named == {
        17,
        43,
    }  # refusals are of a store's own; round trips cannot be seen


def test_values_are_shown_as_people_read_them() -> None:
    message_id = new_id()
    assert show([Enqueued(message_id, created=False)]) == (
        f"[Enqueued(id={id_to_text(message_id)}, created=False)]"
    )
    assert show(QueueCounts(leased=1)) == "QueueCounts(leased=1)"
    assert show({State.READY, State.DEAD}) == "{DEAD, READY}"
    assert show((Settled.DONE, None, {"a": b"x"})) == "(DONE, None, {'a': b'x'})"
    assert len(show([bytes(100)] * 100)) < 450
