"""The check of the ledger finds each kind of fault that it is there to find."""

import random
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.checks import check_ledger
from tests.chaos.faults.fault import Scene
from tests.chaos.kinds import KINDS, End
from tests.chaos.ledger import Lease, Log, Run, Settlement
from tests.chaos.report import Report
from tests.chaos.stores.store import Damage
from tests.chaos.workload import Entry

ID = "00" * 16
OTHER = "01" * 16


def lease(token: int, *, at: float, pid: int = 1, attempt: int = 0) -> Lease:
    return Lease(token, pid, at, at, attempt, 0)


def run(*, message: str = ID, at: float, pid: int = 1) -> Run:
    return Run(0, message, 0, pid, at)


class Ledger:
    """A task of a kind that ran once, was completed, and is known as that."""

    def __init__(self, kind: str = "plain") -> None:
        self.entries = [Entry(0, KINDS[kind], ID)]
        self.log = Log()
        self.log.leases[ID] = [lease(1, at=10.0)]
        self.log.begun[ID] = [run(at=10.1)]
        self.log.ended[ID] = [run(at=10.2)]
        self.log.settlements[ID] = [
            Settlement(1, "Complete", 10.3),
            Settlement(1, "Complete", 10.3, "DONE"),
        ]
        self.ends: dict[str, str] = {ID: End.EFFECT}
        self.damages: list[Damage] = []
        self.struck: list[tuple[str, float, float]] = []

    def problems(self, store: Any = None) -> str:
        anything: Any = None
        store = ExactStore() if store is None else store
        report = Report("tested", 0, 1)
        scene = Scene(random.Random(0), anything, store, anything, report, Path(), self.damages)
        scene.struck += self.struck
        check_ledger(self.entries, self.log, self.ends, scene)
        return "; ".join(report.problems)


class ExactStore:
    """The only thing that the check asks of a store."""

    keeps_tokens = True


class BrokerStore:
    """A broker, with a state store or alone."""

    keeps_tokens = False

    def __init__(self, *, has_state: bool) -> None:
        self.keeps_ends = self.has_outcomes = has_state


def lost(ledger: Ledger) -> None:
    ledger.ends.clear()


def no_effect(ledger: Ledger) -> None:
    ledger.log.ended[ID] = []


def wrong_end(ledger: Ledger) -> None:
    ledger.ends[ID] = End.FAILED


def copy(ledger: Ledger) -> None:
    ledger.log.begun[OTHER] = [run(message=OTHER, at=11.0)]


def token_twice(ledger: Ledger) -> None:
    ledger.log.leases[ID].append(lease(1, at=12.0))


def run_without_lease(ledger: Ledger) -> None:
    ledger.log.begun[ID].append(run(at=12.0))


def again_after_confirmed_end(ledger: Ledger) -> None:
    ledger.log.leases[ID].append(lease(2, at=12.0, pid=2))


def settled_twice(ledger: Ledger) -> None:
    ledger.log.settlements[ID].append(Settlement(1, "Complete", 12.0, "DONE"))


def attempt_of_no_run(ledger: Ledger) -> None:
    ledger.log.settlements[ID] = []
    ledger.log.leases[ID].append(lease(2, at=20.0, attempt=2))


def taken_from_a_living_worker(ledger: Ledger) -> None:
    ledger.log.settlements[ID] = []
    ledger.log.leases[ID].append(lease(2, at=10.5, pid=2))
    ledger.log.begun[OTHER] = [run(at=30.0, pid=1)]


def known_although_new(ledger: Ledger) -> None:
    ledger.entries[0].created = False


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lost, "LOST"),
        (no_effect, "without its effect"),
        (wrong_end, "ended as 'failed'"),
        (copy, "an unknown copy"),
        (token_twice, "with one token"),
        (run_without_lease, "ran 2 times by 1 leases"),
        (again_after_confirmed_end, "after its confirmed end"),
        (settled_twice, "settled twice"),
        (attempt_of_no_run, "counts 2 attempts"),
        (taken_from_a_living_worker, "by a worker that lived"),
        (known_although_new, "answered as known"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_check_finds(harm: Any, words: str) -> None:
    ledger = Ledger()
    assert ledger.problems() == ""
    harm(ledger)
    assert words in ledger.problems()


def test_the_check_finds_a_second_run_where_none_may_be() -> None:
    ledger = Ledger("once")
    ledger.log.settlements[ID] = []
    ledger.log.leases[ID].append(lease(2, at=20.0, pid=2))
    ledger.log.begun[ID].append(run(at=20.1, pid=2))
    assert "once 0" in ledger.problems()


def test_a_second_run_after_a_lost_worker_is_no_problem() -> None:
    ledger = Ledger()
    ledger.log.settlements[ID] = []
    ledger.log.leases[ID].append(lease(2, at=20.0, pid=2))
    for each in (ledger.log.begun[ID], ledger.log.ended[ID]):
        each.append(run(at=20.1, pid=2))
    assert ledger.problems() == ""


def test_a_damaged_message_that_waited_has_to_become_a_dead_letter() -> None:
    ledger = Ledger()
    ledger.damages = [Damage(ID, "cut short", must_die=True)]
    assert "instead of 'undecodable'" in ledger.problems()
    ledger.ends[ID] = End.UNDECODABLE
    assert ledger.problems() == ""


def test_a_replaced_message_needs_one_that_replaces_it() -> None:
    ledger = Ledger("replacing")
    ledger.entries[0].key = "k"
    ledger.ends[ID] = End.CANCELLED
    assert "replaced by nothing" in ledger.problems()


def test_a_message_may_be_replaced_by_one_whose_dispatch_began_earlier() -> None:
    ledger = Ledger("replacing")
    ledger.entries[0].key = "k"
    ledger.entries.append(Entry(1, KINDS["replacing"], OTHER, key="k"))
    ledger.ends[OTHER] = End.CANCELLED
    assert ledger.problems() == ""


@pytest.mark.parametrize("has_state", [True, False])
def test_the_check_finds_a_lease_after_an_end_by_the_clock(has_state: bool) -> None:
    store = BrokerStore(has_state=has_state)
    ledger = Ledger()
    ledger.log.sent[ID] = 1
    assert ledger.problems(store) == ""
    ledger.log.leases[ID].append(lease(2, at=12.0, pid=2))
    assert "after its confirmed end" in ledger.problems(store)


def test_a_broker_alone_may_deliver_a_second_copy_or_one_that_a_killed_server_had_forgotten() -> (
    None
):
    store = BrokerStore(has_state=False)
    ledger = Ledger()
    ledger.log.leases[ID].append(lease(2, at=12.0, pid=2))
    ledger.log.sent[ID] = 2
    assert ledger.problems(store) == ""
    ledger.log.sent[ID] = 1
    ledger.struck = [("server killed and restarted", 10.5, 11.0)]
    assert ledger.problems(store) == ""


def test_a_server_may_forget_a_lease_and_make_a_smaller_token() -> None:
    ledger = Ledger()
    ledger.log.leases[ID] = [lease(9, at=9.0), lease(1, at=10.0)]
    ledger.log.begun[ID].append(run(at=9.1))
    ledger.log.settlements[ID].append(Settlement(9, "Complete", 9.5, "LOST"))
    assert ledger.problems() == ""
