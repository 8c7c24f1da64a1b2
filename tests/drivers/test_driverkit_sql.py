"""Helpers of SQL drivers: queries, migrations, and the grouping of messages and completions."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from asynctasq.driverkit import sql
from asynctasq.driverkit.packing import decode_message
from asynctasq.errors import DriverError
from asynctasq.message import Lease, Message, State, new_id
from asynctasq.settlement import Complete, ErrorInfo, Retry, Settlement

STEPS = [sql.Step("schema_1", ["CREATE TABLE a"]), sql.Step("schema_2", ["ALTER TABLE a"])]


def completions(
    settlements: Sequence[Settlement], *, most_bytes: int = 1000, largest: int = 500
) -> list[sql.Completions] | None:
    return sql.completions_of(settlements, most_bytes=most_bytes, largest=largest)


def lease() -> Lease:
    return Lease(new_id(), 1)


def test_queries_are_read_by_name_and_without_comments(tmp_path: Path) -> None:
    text = "-- A file.\n-- name: first\n-- It selects.\nSELECT 1\n\n-- name: second\nSELECT 2;\n"
    (tmp_path / "some.sql").write_text(text)
    assert sql.read_queries(tmp_path, "some") == {"first": "SELECT 1", "second": "SELECT 2;"}
    assert sql.read_script(tmp_path, "some") == text


def test_the_steps_that_a_store_needs_are_those_behind_its_version() -> None:
    assert sql.pending_steps(STEPS, 0, store="S") == STEPS
    assert sql.pending_steps(STEPS, 1, store="S") == STEPS[1:]
    assert sql.pending_steps(STEPS, 2, store="S") == []
    assert sql.pending_steps(STEPS, 3, store="S", usable_from=2) == []


@pytest.mark.parametrize("usable_from", [None, 3])
def test_a_store_of_a_newer_release_is_refused(usable_from: int | None) -> None:
    with pytest.raises(
        DriverError, match="S must have tables of version 2 or older, got version 3"
    ):
        sql.pending_steps(STEPS, 3, store="S", usable_from=usable_from)


def test_ranks_order_priorities_and_stay_in_their_range() -> None:
    assert [sql.rank(priority) for priority in (9, 5, 0, 12, -1)] == [0, 4, 9, 0, 9]
    assert sql.STATES[sql.LEASED] is State.RUNNING
    assert sql.STATES[sql.DEAD] is State.DEAD
    assert sql.STATES[sql.BLOCKED] is State.BLOCKED


@pytest.mark.parametrize(
    "fields", [{}, {"headers": {"trace": "1"}}, {"delay": 1.0, "given_id": True}]
)
def test_a_message_is_read_back_from_its_columns(fields: dict[str, object]) -> None:
    message = Message(new_id(), "q", "task", b"body", **fields)  # type: ignore[arg-type]  # fields of any type
    profile, payload = sql.pack_row(message)
    assert decode_message(message.id, "q", profile, payload) == message


def test_messages_that_are_alike_make_one_run() -> None:
    first = [Message(new_id(), "q", "task", body) for body in (b"a", b"b")]
    urgent = Message(new_id(), "q", "task", b"c", priority=9)
    runs = list(sql.runs_of([*first, urgent]))
    assert [run for _, run, _ in runs] == [first, [urgent]]
    assert [payloads for _, _, payloads in runs] == [[b"a", b"b"], [b"c"]]
    assert [in_common.priority for in_common, _, _ in runs] == [5, 9]
    with pytest.raises(DriverError, match="delay of the message"):
        list(sql.runs_of([Message(new_id(), "q", "task", b"", delay=float("nan"))]))


def test_completions_of_the_same_kind_make_one_batch() -> None:
    kept = [Complete(lease(), b"12"), Complete(lease(), b"3")]
    empty, short = Complete(lease()), Complete(lease(), b"4", 60.0)
    batches = completions([kept[0], empty, kept[1], short])
    assert batches is not None
    assert [batch.settlements for batch in batches] == [kept, [empty], [short]]
    assert [batch.stored for batch in batches] == [True, False, True]
    assert batches[0].results == [b"12", b"3"]


def test_batches_are_bounded_in_bytes() -> None:
    many = [Complete(lease(), bytes(400)) for _ in range(5)]
    batches = completions(many)
    assert batches is not None
    assert [len(batch.settlements) for batch in batches] == [2, 2, 1]


@pytest.mark.parametrize(
    "other",
    [
        Retry(lease(), 0.0, ErrorInfo("E", "", "")),
        Complete(Lease(b"short", 1)),
        Complete(Lease(new_id(), "text")),
        Complete(lease(), bytes(501)),
        Complete(lease(), b"", float("nan")),
    ],
    ids=["not a completion", "an id", "a token", "too large", "not a number"],
)
def test_settlements_that_need_a_look_at_each_make_no_batch(other: Settlement) -> None:
    assert completions([Complete(lease()), other]) is None
