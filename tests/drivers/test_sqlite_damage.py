"""A file with damaged rows: each row costs itself, whichever of its columns is damaged, and nothing else."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from asynctasq.conformance.harness import let_tidy
from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.contracts.capabilities.worker_requests import WorkerRequest
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.message import CancelOutcome, Delivery, Message, State, Unique, UniqueUntil, new_id
from asynctasq.settlement import (
    Complete,
    ErrorInfo,
    Fail,
    LeaseState,
    Reason,
    Release,
    Settled,
    Settlement,
)

pytestmark = pytest.mark.sampled(3)

ERROR = ErrorInfo("shop.OutOfStock", "no more", "Traceback")
VALUES: dict[str, Any] = {
    "null": None,
    "text": "abc",
    "text that is not Unicode": "CAST(x'ff41' AS TEXT)",
    "bytes": b"\xff\x00",
    "no bytes": b"",
    "negative": -5,
    "huge": (1 << 63) - 1,
    "fraction": 0.5,
    "infinite": float("inf"),
}
COLUMNS = (
    "id", "namespace", "queue", "state", "rank", "due_at", "enqueued_at", "expires", "expires_at",
    "result_ttl", "max_lost", "token", "attempt", "lost", "owner", "leased_at", "cancelling",
    "mismatched_at", "unique_key", "reason", "finished_at", "forget_at", "progress", "error", "profile",
    "payload", "about",
)  # fmt: skip


def a_message(queue: str = "emails", **fields: Any) -> Message:
    return Message(new_id(), queue, "app.send", b"body", **fields)


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[SqliteDriver]:
    opened = SqliteDriver(tmp_path / "work.db", synchronous="off")
    await opened.open()
    yield opened
    await opened.close()


def run(driver: SqliteDriver, sql: str, *parameters: Any) -> int:
    """Change the file behind the driver's back; return the number of rows."""
    with closing(sqlite3.connect(driver.description)) as database, database:
        return database.execute(sql, parameters).rowcount


def damage(driver: SqliteDriver, message_id: bytes, column: str, value: Any) -> bool:
    """Return False if the schema forbids the value."""
    is_sql = isinstance(value, str) and value.startswith("CAST")
    sql = f"UPDATE messages SET {column} = {value if is_sql else '?'} WHERE id = ?"
    try:
        return run(driver, sql, *([] if is_sql else [value]), message_id) == 1
    except sqlite3.IntegrityError:
        return False


async def reserve(driver: SqliteDriver, *, owner: str = "w", limit: int = 100) -> list[Delivery]:
    return await driver.reserve(
        {"emails": limit, "other": limit}, limit=limit, owner=owner, lease=30.0
    )


async def look_at_everything(driver: SqliteDriver, ids: list[bytes]) -> None:
    """Every call that shows something answers."""
    assert len(await driver.find(ids)) == len(ids)
    assert len(await driver.results(ids)) == len(ids)
    assert len(await driver.progress(ids)) == len(ids)
    for state in (State.READY, State.SCHEDULED, State.LEASED, State.DEAD):
        for limit in (1, 100):
            await driver.browse(state, limit=limit)
            await driver.browse(state, queue="emails", limit=limit)
            await driver.browse(state, task="app.*", owner="w", since=0.0, limit=limit)
    await driver.dead_letters(limit=1)
    await driver.dead_letters(task="app.send", error="OutOfStock", reason=Reason.FAILED)
    await driver.dead_letters(queue="emails")
    await driver.queues()
    await driver.count("emails")
    await driver.workers()
    await driver.cancel_requests("w")
    await driver.paused()


async def with_every_value(
    driver: SqliteDriver, column: str, scenario: Callable[[SqliteDriver, str, Any], Awaitable[None]]
) -> None:
    """Play a scenario once for each value, each time with an empty file."""
    for name, value in VALUES.items():
        try:
            await scenario(driver, column, value)
        except Exception as error:
            error.add_note(f"{column} is {name}")
            raise
        run(driver, "DELETE FROM messages")


@pytest.mark.parametrize("column", COLUMNS)
async def test_a_damaged_waiting_row_costs_only_itself(driver: SqliteDriver, column: str) -> None:
    await with_every_value(driver, column, _a_damaged_waiting_row_costs_only_itself)


async def _a_damaged_waiting_row_costs_only_itself(
    driver: SqliteDriver, column: str, value: Any
) -> None:
    messages = [a_message() for _ in range(5)]
    elsewhere = a_message("other", headers={"trace": "1"})
    await driver.enqueue([*messages, elsewhere])
    damaged = messages[1]
    if not damage(driver, damaged.id, column, value):
        return
    ids = [message.id for message in (*messages, elsewhere)]
    await look_at_everything(driver, ids)
    again = await driver.enqueue([*messages, elsewhere])
    assert not any(answer.created for answer in again if answer.id != damaged.id)
    delivered: dict[bytes, Delivery] = {}
    for _ in range(4):
        delivered |= {delivery.message.id: delivery for delivery in await reserve(driver, limit=2)}
    for message in (*messages[:1], *messages[2:], elsewhere):
        assert delivered[message.id].message == message
    leases = [delivery.lease for delivery in delivered.values()]
    await look_at_everything(driver, ids)
    assert await driver.extend("w", leases, lease=30.0) == [LeaseState.HELD] * len(leases)
    assert await driver.settle(list(map(Complete, leases))) == [Settled.DONE] * len(leases)
    outcomes = await driver.results([message.id for message in messages if message is not damaged])
    assert [outcome and outcome.state for outcome in outcomes] == [State.COMPLETED] * 4
    await look_at_everything(driver, ids)
    await driver.enqueue([*messages, elsewhere])
    assert len(await driver.cancel(ids)) == len(ids)
    for state in (State.READY, State.SCHEDULED, State.DEAD):
        await driver.purge("emails", states=[state])


@pytest.mark.parametrize("column", COLUMNS)
async def test_a_row_damaged_while_it_is_leased_costs_only_itself(
    driver: SqliteDriver, column: str
) -> None:
    await with_every_value(driver, column, _a_row_damaged_while_it_is_leased_costs_only_itself)


async def _a_row_damaged_while_it_is_leased_costs_only_itself(
    driver: SqliteDriver, column: str, value: Any
) -> None:
    messages = [a_message() for _ in range(4)]
    await driver.enqueue(messages)
    leases = [delivery.lease for delivery in await reserve(driver)]
    await driver.cancel([messages[3].id])
    if not damage(driver, messages[0].id, column, value):
        return
    await look_at_everything(driver, [message.id for message in messages])
    states = await driver.extend("w", leases, lease=30.0)
    assert states[1:] == [LeaseState.HELD] * 3
    await driver.set_progress([(lease, b"half") for lease in leases])
    settlements: list[Settlement] = [
        Release(leases[0]),
        Complete(leases[1]),
        Complete(leases[2]),
        Complete(leases[3]),
    ]
    answers = await driver.settle(settlements)
    assert answers[1:] == [Settled.DONE] * 3
    await look_at_everything(driver, [message.id for message in messages])
    await let_tidy(driver)
    await reserve(driver)


@pytest.mark.parametrize("column", COLUMNS)
async def test_a_damaged_dead_letter_costs_only_itself(driver: SqliteDriver, column: str) -> None:
    await with_every_value(driver, column, _a_damaged_dead_letter_costs_only_itself)


async def _a_damaged_dead_letter_costs_only_itself(
    driver: SqliteDriver, column: str, value: Any
) -> None:
    messages = [a_message() for _ in range(4)]
    await driver.enqueue(messages)
    await driver.settle([Fail(d.lease, Reason.FAILED, ERROR) for d in await reserve(driver)])
    if not damage(driver, messages[1].id, column, value):
        return
    ids = [message.id for message in messages]
    await look_at_everything(driver, ids)
    good = [ids[0], ids[2], ids[3]]
    found: dict[bytes, Any] = {}
    cursor = None
    while True:
        page = await driver.dead_letters(limit=1, cursor=cursor)
        found |= {letter.message.id: letter for letter in page.items}
        cursor = page.cursor
        if cursor is None:
            break
    assert set(good) <= set(found)
    assert all(found[one].error == ERROR for one in good)
    outcomes = await driver.results(ids)
    errors = [outcome and outcome.error for outcome in outcomes]
    assert [errors[n] for n in (0, 2, 3)] == [ERROR] * 3
    answers = await driver.requeue(ids)
    assert [answers[n] for n in (0, 2, 3)] == [True] * 3
    assert set(good) <= {delivery.message.id for delivery in await reserve(driver)}
    await driver.delete_dead(ids)
    await let_tidy(driver)
    await look_at_everything(driver, ids)


@pytest.mark.parametrize("column", ["payload", "finished_at", "state", "forget_at"])
async def test_of_a_hundred_outcomes_a_damaged_one_costs_only_itself(
    driver: SqliteDriver, column: str
) -> None:
    await with_every_value(driver, column, _of_a_hundred_outcomes_a_damaged_one_costs_only_itself)


async def _of_a_hundred_outcomes_a_damaged_one_costs_only_itself(
    driver: SqliteDriver, column: str, value: Any
) -> None:
    messages = [a_message() for _ in range(100)]
    await driver.enqueue(messages)
    deliveries = await reserve(driver)
    await driver.settle([Complete(each.lease, each.lease.id) for each in deliveries])
    if not damage(driver, messages[50].id, column, value):
        return
    outcomes = await driver.results([message.id for message in messages])
    right = [o and o.result == m.id for o, m in zip(outcomes, messages, strict=True)]
    assert right.count(True) >= 99
    await let_tidy(driver)


@pytest.mark.parametrize("value", [b"\xc1", b"", "text", 7], ids=repr)
async def test_the_bytes_of_a_damaged_record_are_kept(driver: SqliteDriver, value: Any) -> None:
    message = a_message(headers={"trace": "1"})
    await driver.enqueue([message])
    damage(driver, message.id, "payload", value)
    assert await reserve(driver) == []
    [letter] = (await driver.dead_letters(queue="emails")).items
    assert letter.message.body == (value if isinstance(value, bytes) else str(value).encode())
    assert (letter.message.task, letter.reason) == ("app.send", Reason.UNDECODABLE)
    assert letter.error is not None
    assert await driver.requeue([message.id]) == [False]
    assert await driver.requeue_edited(message) is True
    [delivery] = await reserve(driver)
    assert delivery.message == message


@pytest.mark.parametrize(
    "damaged_id", [b"short", b"", b"x" * 40, "text", "sixteen letters!"], ids=repr
)
async def test_a_damaged_id_shifts_no_other_and_can_be_deleted(
    driver: SqliteDriver, damaged_id: Any
) -> None:
    messages = [a_message() for _ in range(6)]
    await driver.enqueue(messages)
    damage(driver, messages[0].id, "id", damaged_id)
    damage(driver, messages[5].id, "id", b"y" * 32)
    delivered = {delivery.message.id: delivery.message for delivery in await reserve(driver)}
    assert delivered == {message.id: message for message in messages[1:5]}
    letters = (await driver.dead_letters()).items
    assert len({letter.message.id for letter in letters}) == 2
    assert await driver.delete_dead([letter.message.id for letter in letters]) == [True, True]
    assert (await driver.dead_letters()).items == []


async def test_a_damaged_unique_key_is_free_again(driver: SqliteDriver) -> None:
    """Whether the row of the key is damaged, or the message that holds it."""
    for sql in (
        "UPDATE unique_keys SET holder = x'00'",
        "UPDATE unique_keys SET holder = 'text'",
        "UPDATE unique_keys SET holder = zeroblob(16)",
        "UPDATE messages SET unique_key = x'ff'",
    ):
        first = a_message(unique=Unique("key"))
        await driver.enqueue([first])
        run(driver, sql)
        await driver.settle([Complete(each.lease) for each in await reserve(driver)])
        second = a_message(unique=Unique("key"))
        [answer] = await driver.enqueue([second])
        assert (answer.id, answer.created) == (second.id, True), sql
        await driver.settle([Complete(each.lease) for each in await reserve(driver)])


async def test_a_period_that_never_ends_is_not_held(driver: SqliteDriver) -> None:
    unique = Unique("key", UniqueUntil.PERIOD, period=60.0)
    await driver.enqueue([a_message(unique=unique)])
    run(driver, "UPDATE unique_keys SET ends_at = 'never'")
    [answer] = await driver.enqueue([a_message(unique=unique)])
    assert answer.created


@pytest.mark.parametrize("deadline", ["never", b"\x00", (1 << 63) - 1], ids=repr)
async def test_leases_whose_end_is_damaged_end(driver: SqliteDriver, deadline: Any) -> None:
    message = a_message()
    await driver.enqueue([message])
    await reserve(driver, owner="gone")
    run(driver, "UPDATE owners SET deadline = ? WHERE name = 'gone'", deadline)
    driver.clock_offset += 60.0
    await let_tidy(driver)
    await let_tidy(driver)
    [delivery] = await reserve(driver)
    assert (delivery.message, delivery.lost) == (message, 1)


async def test_leases_of_an_unknown_owner_end(driver: SqliteDriver) -> None:
    message = a_message()
    await driver.enqueue([message])
    await reserve(driver, owner="gone")
    run(driver, "DELETE FROM owners WHERE name = 'gone'")
    driver.clock_offset += 60.0
    await let_tidy(driver)
    [delivery] = await reserve(driver)
    assert (delivery.message, delivery.lost) == (message, 1)


@pytest.mark.parametrize("due_at", ["soon", (1 << 63) - 1], ids=repr)
async def test_a_message_that_is_never_due_is_found_out(driver: SqliteDriver, due_at: Any) -> None:
    message = a_message(delay=10.0)
    await driver.enqueue([message])
    damage(driver, message.id, "due_at", due_at)
    driver.clock_offset += 60.0
    await let_tidy(driver)
    assert await reserve(driver) == []
    [letter] = (await driver.dead_letters()).items
    assert (letter.message.id, letter.reason) == (message.id, Reason.UNDECODABLE)
    assert await driver.requeue([message.id]) == [True]
    [delivery] = await reserve(driver)
    assert delivery.message == message


@pytest.mark.parametrize("queue", [999, -1, "abc", b"\xff"], ids=repr)
async def test_a_message_in_no_queue_is_found_out(driver: SqliteDriver, queue: Any) -> None:
    message = a_message()
    await driver.enqueue([message])
    damage(driver, message.id, "queue", queue)
    await let_tidy(driver)
    [letter] = (await driver.dead_letters()).items
    assert (letter.message.id, letter.reason) == (message.id, Reason.UNDECODABLE)
    assert await driver.requeue_edited(message) is True
    [delivery] = await reserve(driver)
    assert delivery.message == message


@pytest.mark.parametrize("value", [b"\xff", "{}", '{"queues": 1}', "nonsense", "[]"], ids=repr)
async def test_a_damaged_worker_is_not_listed(driver: SqliteDriver, value: Any) -> None:
    for name in ("good", "bad"):
        worker = WorkerInfo(name, "host", 1, 0.0, ("emails",), 1, 0, "1")
        await driver.record_worker(worker, ttl=60.0)
    run(driver, "UPDATE workers SET description = ? WHERE id = 'bad'", value)
    assert [worker.id for worker in await driver.workers()] == ["good"]


async def test_a_damaged_name_of_a_queue_costs_only_that_queue(driver: SqliteDriver) -> None:
    first, second = a_message("emails"), a_message("other")
    await driver.enqueue([first, second])
    run(driver, "UPDATE queues SET name = CAST(x'ff41' AS TEXT) WHERE name = 'emails'")
    await driver.close()
    await driver.open()
    await look_at_everything(driver, [first.id, second.id])
    assert [delivery.message for delivery in await reserve(driver)] == [second]
    third = a_message("emails")
    await driver.enqueue([third])
    assert [delivery.message for delivery in await reserve(driver)] == [third]


async def test_a_damaged_mark_is_written_again(driver: SqliteDriver) -> None:
    message = a_message()
    await driver.enqueue([message])
    await reserve(driver, owner="gone")
    run(driver, "UPDATE upkeep SET at = 'x', paused_until = x'00'")
    driver.clock_offset += 60.0
    await let_tidy(driver)
    [delivery] = await reserve(driver)
    assert delivery.lost == 1


async def test_a_damaged_message_can_be_cancelled_and_known_again(driver: SqliteDriver) -> None:
    message = a_message()
    await driver.enqueue([message])
    damage(driver, message.id, "profile", b"\xc1")
    [answer] = await driver.enqueue([message])
    assert not answer.created
    assert await driver.cancel([message.id]) == [CancelOutcome.CANCELLED]


@pytest.mark.parametrize(("column", "value"), [("state", "\0"), ("state", 99), ("namespace", b"x")])
async def test_a_message_that_no_call_finds_becomes_a_dead_letter(
    driver: SqliteDriver, column: str, value: Any
) -> None:
    """However many messages are stored before it."""
    others = [a_message("unserved") for _ in range(250)]
    damaged = a_message()
    await driver.enqueue([*others, damaged])
    assert damage(driver, damaged.id, column, value)
    for _ in range(4):
        await let_tidy(driver)
        driver.clock_offset += 10.0
    [letter] = (await driver.dead_letters()).items
    assert letter.message.body == damaged.body
    assert letter.reason is Reason.UNDECODABLE
    assert (await driver.count("unserved")).ready == len(others)


async def test_a_waiting_message_is_not_forgotten_as_an_outcome(driver: SqliteDriver) -> None:
    message = a_message()
    await driver.enqueue([message])
    assert damage(driver, message.id, "forget_at", 1)
    await let_tidy(driver)
    driver.clock_offset = 10.0
    await let_tidy(driver)
    assert run(driver, "UPDATE messages SET forget_at = NULL WHERE forget_at = 1") == 0
    [delivery] = await reserve(driver)
    assert delivery.message == message


async def test_leases_end_when_their_owner_is_in_another_namespace(driver: SqliteDriver) -> None:
    await driver.enqueue([a_message()])
    assert await reserve(driver, owner="gone")
    assert run(driver, "UPDATE owners SET namespace = 7 WHERE name = 'gone'") == 1
    driver.clock_offset = 10.0
    await let_tidy(driver)
    [delivery] = await reserve(driver)
    assert delivery.lost == 1


async def test_a_damaged_mark_makes_no_pause_of_years(driver: SqliteDriver) -> None:
    await driver.enqueue([a_message()])
    assert await reserve(driver, owner="gone")
    assert run(driver, "UPDATE upkeep SET at = 2") == 1
    losses = []
    for seconds in range(0, 90, 10):
        driver.clock_offset = float(seconds)
        losses += [delivery.lost for delivery in await reserve(driver)]
    assert losses == [1]


async def test_a_damaged_time_of_a_pause_costs_nothing_else(driver: SqliteDriver) -> None:
    await driver.pause("emails")
    assert run(driver, "UPDATE queues SET paused_at = 'noon'") == 1
    [queue] = await driver.queues()
    assert queue.paused
    await driver.resume("emails")
    assert await driver.queues() == []


@pytest.mark.parametrize("value", set(VALUES) - {"null"})
async def test_a_damaged_request_about_a_worker_requests_nothing_and_can_be_replaced(
    driver: SqliteDriver, value: str
) -> None:
    worker = WorkerInfo("w", "h", 1, 0.0, ("q",), 1, 0, "1", owner="w/1")
    await driver.record_worker(worker, ttl=60.0)
    await driver.request_workers(["w"], WorkerRequest.QUIET)
    damaged = VALUES[value]
    is_sql = isinstance(damaged, str) and damaged.startswith("CAST")
    sql = f"UPDATE worker_requests SET request = {damaged if is_sql else '?'}"
    assert run(driver, sql, *([] if is_sql else [damaged])) == 1
    assert (await driver.requests("w/1")).worker is WorkerRequest.RUN
    assert await driver.request_workers(["w"], WorkerRequest.STOP) == [WorkerRequest.STOP]
