"""Events of one task come in the order of its states, however their batches come in."""

import random

import pytest
from msgpack import packb

from asynctasq.events import EventKind, Fact, pack_batch, unpack_batch
from asynctasq.message import new_id
from asynctasq.operations.event_order import Reordering, pack_place, unpack_place


def fact(message_id: bytes | None, order: int | None) -> Fact:
    return Fact(EventKind.STARTED, 1.0, message_id, order=order)


def released(
    batches: list[list[Fact]], before: str = "p0", passed: int = 0
) -> list[tuple[Fact, str]]:
    reordering = Reordering()
    reordering.begin(before, passed)
    start = int(before[1:])
    for number, facts in enumerate(batches, start + 1):
        reordering.add(facts, after=f"p{number}", at=0.0)
    found = []
    while len(reordering):
        found += [(placed.fact, placed.cursor) for placed in reordering.release()]
    return found


def test_earlier_fact_of_a_later_batch_comes_first() -> None:
    one, two = new_id(), new_id()
    batches = [[fact(one, 9), fact(two, 9)], [fact(two, 1)], [fact(one, 0), fact(one, 5)]]
    found = [each for each, _ in released(batches)]
    assert found == [fact(one, 0), fact(one, 5), fact(one, 9), fact(two, 1), fact(two, 9)]


def test_facts_without_an_order_stay_in_place() -> None:
    one = new_id()
    batches = [[fact(one, None), fact(None, None)], [fact(one, 1)]]
    assert [each for each, _ in released(batches)] == [*batches[0], *batches[1]]


@pytest.mark.parametrize("seed", range(20))
def test_from_each_cursor_nothing_is_missed(seed: int) -> None:
    """An event that has passed others may come again."""
    rng = random.Random(seed)
    ids = [new_id() for _ in range(3)]
    facts = [fact(rng.choice(ids), order) for order in range(20)]
    order = facts.copy()
    rng.shuffle(order)
    batches = [order[place : place + 4] for place in range(0, 20, 4)]
    found = released(batches)
    assert sorted(found, key=repr) == sorted(found, key=repr)
    for message_id in ids:
        own = [each.order for each, _ in found if each.id == message_id]
        assert own == sorted(own, key=lambda number: number or 0)
    for place, (_, cursor) in enumerate(found):
        before, passed = unpack_place(cursor)
        rest = [each for each, _ in released(batches[int(before[1:]) :], before, passed)]
        assert {id(each) for each, _ in found[place + 1 :]} <= {id(each) for each in rest}


@pytest.mark.parametrize("cursor", ["", "~1", "p1~", "p1~x", "p1~-1"])
def test_place_that_is_damaged_is_refused(cursor: str) -> None:
    if cursor == "p1~":
        assert unpack_place(cursor) == ("p1", 0)
        return
    with pytest.raises(ValueError, match="cursor"):
        unpack_place(cursor)
    assert unpack_place(pack_place("p1", 3)) == ("p1", 3)


# Batches.


def test_batch_returns_what_was_packed() -> None:
    facts = [
        Fact(EventKind.GAP, 0.5),
        Fact(
            *(EventKind.DEAD, 1.5, new_id(), "größe\ud800", "", 3, 8, 0.25, "E" * 400, "failed"),
            *(b"\x00\xff", "w1", "nightly"),
        ),
    ]
    batch = unpack_batch(pack_batch(facts, dropped=7))
    assert batch is not None
    assert (list(batch.facts), batch.dropped) == (facts, 7)


def test_long_errors_are_cut_and_long_values_left_out() -> None:
    batch = unpack_batch(
        pack_batch([Fact(EventKind.DEAD, 1.0, error="e" * 9000, value=b"v" * 9000)])
    )
    assert batch is not None
    [cut] = batch.facts
    assert (len(cut.error or ""), cut.value) == (500, None)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\x02" + packb([0, []]), b"\x01", b"\x01\xc1", b"\x01" + packb([0, []])[:-1]),
        *(
            b"\x01" + packb(each)
            for each in (
                *(
                    [0],
                    [0, [[]]],
                    [0, [["started"]]],
                    ["0", []],
                    [0, 5],
                    7,
                    [0, [["started", 1, 5]]],
                ),
                *([0, [["started", 1, b"short"]]], [0, [["started", 1, None, 5]]]),
            )
        ),
    ],
)
def test_damaged_batch_is_none(data: bytes) -> None:
    assert unpack_batch(data) is None


def test_unknown_kinds_are_left_out() -> None:
    batch = unpack_batch(b"\x01" + packb([0, [["suspended", 1], ["started", 1]]]))
    assert batch is not None
    assert [each.kind for each in batch.facts] == [EventKind.STARTED]
