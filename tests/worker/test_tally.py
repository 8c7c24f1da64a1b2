"""Counts of a worker: each run once, by minute, queue and task, and only after the store has answered."""

import threading
import time

import pytest
import time_machine

from asynctasq.about import unpack_about
from asynctasq.contracts.capabilities import News
from asynctasq.contracts.capabilities.metrics import MetricFlush
from asynctasq.counts import RUN, WAIT, Count, add_to, bucket_of, unpack_counts
from asynctasq.finished import Finished, pack_finished, unpack_finished
from asynctasq.message import Delivery, Lease, Message, State, new_id
from asynctasq.settlement import (
    Cancelled,
    Complete,
    ErrorInfo,
    Fail,
    Reason,
    Release,
    Retry,
    Settled,
    Settlement,
)
from asynctasq.worker.in_flight import InFlightMessage
from asynctasq.worker.tally import MINUTES_HELD, OTHER, PAIRS, RECENT, SLOWEST, Tally

ERROR = ErrorInfo("shop.OutOfStock", "no more", "")
Items = list[tuple[InFlightMessage, Settlement]]


def run(task: str = "pay", queue: str = "mail", *, seconds: float = 0.5) -> InFlightMessage:
    """Return a run that has just ended, of a message that waited for two seconds."""
    message = Message(new_id(), queue, task, b"")
    started = time.time() - seconds
    held = InFlightMessage(
        Delivery(message, Lease(message.id, 1), 0, 0, started, due_at=started - 2.0)
    )
    held.ended_at = time.monotonic()
    held.started_at = held.ended_at - seconds
    return held


def completed(*runs: InFlightMessage, about: bytes = b"about") -> Items:
    return [(each, Complete(each.delivery.lease, about=about)) for each in runs]


def settle(tally: Tally, *runs: InFlightMessage) -> None:
    tally.settled(completed(*runs), [Settled.DONE] * len(runs))


def counts_of(*flushes: MetricFlush | None) -> dict[tuple[str, str], dict[int, int]]:
    """Return the sums by queue and task."""
    sums: dict[tuple[str, str], dict[int, int]] = {}
    for flush in flushes:
        for row in () if flush is None else flush.rows:
            add_to(sums.setdefault((row.queue, row.task), {}), unpack_counts(row.counts) or {})
    return sums


def test_runs_are_counted_by_outcome_and_time() -> None:
    tally = Tally("w")
    runs = [run() for _ in range(5)]
    lease = runs[0].delivery.lease
    settlements: list[Settlement] = [
        Complete(lease),
        Retry(lease, 1.0, ERROR),
        Fail(lease, Reason.FAILED),
        Cancelled(lease),
        Release(lease),
    ]
    tally.settled(list(zip(runs, settlements, strict=True)), [Settled.DONE] * 5)
    [counts] = counts_of(tally.take()).values()
    assert [counts[number] for number in range(5)] == [1] * 5
    assert counts[RUN + bucket_of(0.5)] == counts[WAIT + bucket_of(2.0)] == 5
    assert counts[Count.RUN_MICROS] == pytest.approx(2.5e6, rel=0.01)
    assert counts[Count.WAIT_MICROS] == pytest.approx(10e6, rel=0.01)


def test_only_what_the_store_has_applied_is_counted() -> None:
    tally = Tally("w")
    items = completed(run(), run(), run())
    tally.settled(items, [Settled.DONE, Settled.LOST, Settled.REFUSED])
    tally.settled(items, [Settled.DONE])  # an answer that the settler refuses
    assert counts_of(tally.take())["mail", "pay"][Count.COMPLETED] == 1
    tally.settled(items, [Settled.LOST, Settled.LOST, Settled.REFUSED], uncertain=True)
    assert counts_of(tally.take())["mail", "pay"][Count.COMPLETED] == 2


def test_message_that_never_ran_has_no_times() -> None:
    tally = Tally("w")
    held = run()
    held.started_at = held.ended_at = 0.0
    tally.settled([(held, Release(held.delivery.lease))], [Settled.DONE])
    assert counts_of(tally.take()) == {("mail", "pay"): {Count.RELEASED: 1}}


def test_clock_of_the_store_may_be_ahead() -> None:
    tally = Tally("w")
    held = run()
    held.delivery.due_at = time.time() + 500.0  # type: ignore[misc]  # as such a store tells it
    settle(tally, held)
    counts = counts_of(tally.take())["mail", "pay"]
    assert counts[WAIT] == 1
    assert Count.WAIT_MICROS not in counts


def test_each_count_is_taken_once() -> None:
    tally = Tally("w")
    assert tally.take() is None
    flushes = []
    for _ in range(3):
        settle(tally, run(), run())
        flushes.append(tally.take())
        assert tally.take() is None
    assert counts_of(*flushes)["mail", "pay"][Count.COMPLETED] == 6
    numbers = [flush.number for flush in flushes if flush is not None]
    assert numbers == sorted(set(numbers))


def test_counts_are_kept_by_minute() -> None:
    tally = Tally("w")
    with time_machine.travel(6000.0, tick=False) as clock:
        for _ in range(3):
            settle(tally, run())
            clock.shift(60.0)
        flush = tally.take()
    assert flush is not None
    assert [row.minute for row in flush.rows] == [100, 101, 102]


def test_labels_are_bounded() -> None:
    tally = Tally("w")
    names = [f"task {number}" for number in range(PAIRS + 100)]
    for _ in range(2):
        settle(tally, *(run(name) for name in names))
    settle(tally, run(names[-1], "another"))
    sums = counts_of(tally.take())
    assert len(sums) == PAIRS + 2
    assert sums["mail", OTHER][Count.COMPLETED] == 200
    assert sums["another", OTHER][Count.COMPLETED] == 1
    assert sums["mail", names[0]][Count.COMPLETED] == 2


def test_counts_of_a_long_outage_are_bounded() -> None:
    tally = Tally("w")
    with time_machine.travel(6e6, tick=False) as clock:
        for _ in range(MINUTES_HELD + 50):
            settle(tally, run())
            clock.shift(60.0)
        settle(tally, run())
        flush = tally.take()
    assert flush is not None
    assert len(flush.rows) <= MINUTES_HELD + 2
    assert tally.dropped == MINUTES_HELD + 51 - len(flush.rows)


def test_large_tally_is_flushed_in_pieces() -> None:
    tally = Tally("w")
    names = [f"task {number}" for number in range(PAIRS)]
    with time_machine.travel(6e6, tick=False) as clock:
        for _ in range(5):
            settle(tally, *(run(name) for name in names))
            clock.shift(60.0)
        flushes = []
        while (flush := tally.take()) is not None:
            flushes.append(flush)
    assert [len(flush.rows) for flush in flushes] == [1000, 1000, 500]
    assert all(sums[Count.COMPLETED] == 5 for sums in counts_of(*flushes).values())


def test_nothing_is_held_for_a_store_without_counts() -> None:
    tally = Tally("w", stored=False)
    settle(tally, run())
    tally.news([News(new_id(), "mail", "pay", State.READY)])
    [counts] = tally.totals().values()
    assert (counts[Count.COMPLETED], counts[Count.LOST]) == (1, 1)
    flush = tally.take()
    assert flush is None or not flush.rows


def test_totals_go_on_when_a_store_takes_counts() -> None:
    tally = Tally("w")
    settle(tally, run())
    assert tally.totals().popitem()[1][Count.COMPLETED] == 1
    assert tally.take() is not None
    settle(tally, run())
    assert tally.totals().popitem()[1][Count.COMPLETED] == 2
    flush = tally.take()
    assert flush is not None
    [row] = flush.rows
    assert (unpack_counts(row.counts) or {})[Count.COMPLETED] == 1


def test_news_of_the_store_are_counted() -> None:
    tally = Tally("w")
    tally.news(
        [
            News(new_id(), "mail", "pay", State.READY),
            News(new_id(), "mail", "pay", State.DEAD, Reason.LOST),
            News(new_id(), "mail", "pay", State.DEAD, Reason.EXPIRED),
            News(new_id(), "mail", "pay", State.DEAD, Reason.UNDECODABLE),
        ]
    )
    expected = {Count.LOST: 2, Count.DEAD: 2, Count.EXPIRED: 1}
    assert counts_of(tally.take()) == {("mail", "pay"): expected}


def test_threads_lose_no_count() -> None:
    tally = Tally("w")
    flushes: list[MetricFlush | None] = []
    done = threading.Event()

    def flush() -> None:
        while not done.is_set():
            flushes.append(tally.take())

    thread = threading.Thread(target=flush)
    thread.start()
    try:
        held = run()
        for _ in range(5000):
            settle(tally, held)
    finally:
        done.set()
        thread.join()
    flushes.append(tally.take())
    assert counts_of(*flushes)["mail", "pay"][Count.COMPLETED] == 5000


def test_latest_and_slowest_outcomes_are_kept() -> None:
    tally = Tally("w")
    slow = [run(seconds=100.0 + number) for number in range(SLOWEST + 5)]
    settle(tally, *slow)
    quick = [run(seconds=0.1) for _ in range(RECENT + 50)]
    settle(tally, *quick)
    flush = tally.take()
    assert flush is not None
    assert flush.recent is not None
    ids = {each.id for each in unpack_finished(flush.recent["mail"])}
    expected = [*slow[5:], *quick[50:]]
    assert ids == {each.delivery.message.id for each in expected}
    settle(tally, run(queue="other"))
    again = tally.take()
    assert again is not None
    assert set(again.recent or {}) == {"other"}


def test_slow_outcomes_of_long_ago_make_room() -> None:
    tally = Tally("w")
    old = run(seconds=1000.0)
    old.started_at -= 7200.0
    old.ended_at -= 7200.0
    settle(tally, old, *(run(seconds=0.0) for _ in range(RECENT)))
    flush = tally.take()
    assert flush is not None
    assert flush.recent is not None
    ids = {each.id for each in unpack_finished(flush.recent["mail"])}
    assert old.delivery.message.id not in ids


def test_damaged_outcomes_end_the_list() -> None:
    entries = [Finished(new_id(), State.DEAD, b"x" * size) for size in (0, 90, 1000)]
    data = pack_finished(entries)
    assert list(unpack_finished(data)) == entries
    assert list(unpack_finished(data[:-1])) == entries[:2]
    assert list(unpack_finished(b"")) == list(unpack_finished(b"\xff" + data[1:])) == []
    assert unpack_about(entries[1].about) is None
