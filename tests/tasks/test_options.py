"""`.options(...)` and the chain: what a single dispatch may say."""

import asyncio
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest

from asynctasq import App, OnConflict, State, Unique, UniqueUntil, task
from asynctasq.errors import CapabilityMissing, TaskFailed
from tests.tasks.store import message_of, messages, policy_of, snapshots, work


@task(queue="orders")
async def ship(number: int = 1) -> int:
    return number


def call() -> Any:
    """Return a call that accepts every option."""
    return ship()


async def test_options_override_those_of_the_task(app: App) -> None:
    options = {
        "queue": "express",
        "max_attempts": 9,
        "retry_delay": 1.5,
        "retry_strategy": "exponential",
        "retry_factor": 3,
        "retry_cap": 10,
        "retry_jitter": 0,
        "timeout": 2,
        "priority": 9,
        "expires": 60,
        "result_ttl": 5,
        "max_lost": 0,
        "headers": {"trace": "abc"},
    }
    message = await message_of(app, call().options(**options))
    found = {name: getattr(message, name) for name in options if hasattr(message, name)}
    policy = policy_of(app, message)
    found |= {name: getattr(policy, name) for name in options if hasattr(policy, name)}
    assert found == options


async def test_later_options_win_and_others_stay(app: App) -> None:
    message = await message_of(app, ship().options(priority=1, expires=5).options(priority=2))
    assert (message.queue, message.priority, message.expires) == ("orders", 2, 5)
    assert (await message_of(app, ship())).priority == 5


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"prioritty": 1}, TypeError, r"options\(\) got an unknown option 'prioritty'.*'priority'"),
        ({"process": True}, TypeError, "unknown option 'process'"),
        ({"delay": -1}, ValueError, "at least 0"),
        ({"delay": -0.001}, ValueError, "at least 0"),
        ({"delay": None}, TypeError, "must be a number of seconds"),
        ({"delay": timedelta(seconds=-1)}, ValueError, "at least 0"),
        ({"delay": True}, TypeError, "must be a number of seconds"),
        ({"delay": float("nan")}, ValueError, "at least 0"),
        ({"delay": float("inf")}, ValueError, "at most"),
        ({"delay": 1e11}, ValueError, "at most"),
        ({"eta": datetime(2030, 1, 1)}, ValueError, "a datetime with a time zone"),
        ({"eta": "2030-01-01"}, TypeError, "must be an aware datetime"),
        ({"eta": -1}, ValueError, "at least 0"),
        ({"unique": 5}, TypeError, "must be a Unique or a string"),
        ({"unique": ""}, ValueError, "a key that is not empty"),
        ({"unique": Unique("k", UniqueUntil.PERIOD)}, ValueError, "must have a period"),
        (
            {"unique": Unique("k", until="done")},
            ValueError,
            "'started' or 'settled' or 'period' as `until`",
        ),
        (
            {"unique": Unique("k", on_conflict="no")},
            ValueError,
            "'skip' or 'replace' or 'extend' as `on_conflict`",
        ),
        ({"unique": Unique("k", period=5)}, ValueError, "must have a period"),
        ({"unique": Unique("k", UniqueUntil.PERIOD, period=0)}, ValueError, "greater than 0"),
        ({"id": 5}, TypeError, "must be a string"),
        ({"after": str(uuid4())}, TypeError, "a list of ids"),
        ({"after": 5}, TypeError, "a list of ids"),
        ({"after": [5]}, ValueError, "5 is not a valid one"),
        ({"countdown": 5}, TypeError, "Use `delay`"),
        ({"task_name": "a"}, TypeError, "Use `name` in @task"),
        ({"headers": {"a": 1}}, TypeError, "strings to strings"),
        ({"headers": ["a"]}, TypeError, "strings to strings"),
        ({"queue": "no/slash"}, ValueError, "must be 1 to 80 characters"),
        ({"timeout": 0}, ValueError, "greater than 0"),
        ({"priority": 5.0}, TypeError, "must be an integer"),
    ],
)
def test_wrong_options_are_errors_at_once(
    options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        call().options(**options)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "x" * 81, None, 5])
def test_queue_names_are_checked_at_the_chain(name: Any) -> None:
    with pytest.raises(ValueError, match="must be 1 to 80 characters"):
        ship().on_queue(name)


def test_longest_queue_name_is_allowed() -> None:
    ship().on_queue("x" * 76 + "A.-_")


@pytest.mark.parametrize("seconds", [-1, -0.1])
def test_negative_waits_are_value_errors(seconds: float) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        ship().delay(seconds)
    with pytest.raises(ValueError, match="at least 0"):
        ship().retry_after(seconds)


@pytest.mark.parametrize(("seconds", "state"), [(0, State.READY), (0.5, State.SCHEDULED)])
async def test_delay_counts_from_the_enqueue(app: App, seconds: float, state: State) -> None:
    await ship().delay(seconds).dispatch()
    [found] = await snapshots(app)
    assert found.due_at - found.enqueued_at == pytest.approx(seconds)
    assert found.state is state


@pytest.mark.parametrize(
    "eta",
    [
        datetime(2100, 1, 1, 12, tzinfo=UTC),
        datetime(2100, 1, 1, 14, tzinfo=timezone(timedelta(hours=2))),
        datetime(2100, 1, 1, 12, tzinfo=UTC).timestamp(),
    ],
)
async def test_eta_is_a_moment_in_any_time_zone(app: App, eta: datetime | float) -> None:
    await ship().options(eta=eta).dispatch()
    [found] = await snapshots(app)
    assert found.due_at == datetime(2100, 1, 1, 12, tzinfo=UTC).timestamp()
    assert found.state is State.SCHEDULED


async def test_eta_that_has_passed_is_now(app: App) -> None:
    await ship().options(eta=datetime(2000, 1, 1, tzinfo=UTC)).dispatch()
    [found] = await snapshots(app)
    assert found.state is State.READY
    assert abs(found.due_at - time.time()) < 3600


async def test_delay_and_eta_contradict_each_other(app: App) -> None:
    with pytest.raises(ValueError, match="delay and eta are mutually exclusive"):
        await ship().delay(5).options(eta=time.time()).dispatch()
    assert not await messages(app)


async def test_id_of_the_callers_makes_the_dispatch_idempotent(app: App) -> None:
    own = str(uuid4())
    first = await ship(1).options(id=own).dispatch()
    second = await ship(2).options(id=own.upper()).dispatch()
    assert first == second == own
    assert (first.created, second.created) == (True, False)
    await work(app)
    assert await second.result(timeout=30) == 1
    third = await ship(3).options(id=own).dispatch()
    assert not third.created


async def test_id_that_is_no_uuid_is_an_error(app: App) -> None:
    with pytest.raises(
        ValueError, match=r"options\(\): id must be the ID of a task \(a UUID\), got 'mine'"
    ):
        ship().options(id="mine")
    assert not await messages(app)


async def test_headers_reach_the_message_as_a_copy(app: App) -> None:
    headers = {"trace": "abc", "": "empty name", "text": "ä"}
    given = dict(headers)
    dispatched = ship().options(headers=given)
    message = await message_of(app, dispatched)
    given["trace"] = "changed"
    assert message.headers == headers


async def test_plain_string_is_a_key_that_is_held_until_settled(app: App) -> None:
    message = await message_of(app, ship().options(unique="order-1"))
    assert message.unique == Unique("order-1", UniqueUntil.SETTLED, OnConflict.SKIP)


async def test_conflict_gives_the_handle_of_the_holder(app: App) -> None:
    first = await ship(1).options(unique="order-1").dispatch()
    other = ship(2).options(unique="order-1")
    second = await other.dispatch()
    assert second == first == other._task_id
    assert (first.created, second.created) == (True, False)
    assert len(await messages(app)) == 1
    await work(app)
    assert await second.result(timeout=30) == 1
    third = await ship(3).options(unique="order-1").dispatch()
    assert third.created


@pytest.mark.parametrize("how", [OnConflict.REPLACE, "replace"])
async def test_conflict_may_replace_the_holder(app: App, how: str) -> None:
    unique = Unique("order-1", on_conflict=how)
    first = await ship(1).options(unique=unique).dispatch()
    second = await ship(2).options(unique=unique).dispatch()
    assert second.created
    assert await first.status() is State.CANCELLED
    await work(app)
    assert await second.result(timeout=30) == 2


async def test_texts_of_a_unique_key_become_members(app: App) -> None:
    unique = Unique("k", "period", "extend", period=timedelta(minutes=1))
    message = await message_of(app, ship().options(unique=unique))
    assert message.unique == Unique("k", UniqueUntil.PERIOD, OnConflict.EXTEND, 60.0)
    assert message.unique is not None
    assert message.unique.until is UniqueUntil.PERIOD
    assert message.unique.on_conflict is OnConflict.EXTEND


async def test_key_that_is_held_until_the_start_is_free_while_it_runs(app: App) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    key = Unique("report", UniqueUntil.STARTED)

    @task
    async def report() -> None:
        begun.set()
        await go_on.wait()

    first = await report().options(unique=key).dispatch()
    assert not (await report().options(unique=key).dispatch()).created
    working = asyncio.create_task(work(app))
    await begun.wait()
    second = await report().options(unique=key).dispatch()
    assert second.created
    assert second != first
    go_on.set()
    await working


async def test_key_may_be_held_for_a_period_and_that_be_extended(app: App) -> None:
    once = Unique("digest", UniqueUntil.PERIOD, period=60)
    longer = Unique("digest", UniqueUntil.PERIOD, OnConflict.EXTEND, period=600)
    first = await ship(1).options(unique=once).dispatch()
    await work(app)
    assert await first.result(timeout=30) == 1
    for key in (once, longer):  # it has ended, and its period goes on
        again = await ship(2).options(unique=key).dispatch()
        assert (again, again.created) == (first, False)
    driver = await app.driver()
    driver.clock_offset = 300.0
    assert not (await ship(3).options(unique=once).dispatch()).created
    driver.clock_offset = 700.0
    assert (await ship(4).options(unique=once).dispatch()).created


async def test_what_is_not_started_in_time_never_runs_and_says_why(app: App) -> None:
    late = await ship(1).options(expires=60).dispatch()
    in_time = await ship(2).options(expires=60, delay=100).dispatch()
    (await app.driver()).clock_offset = 120.0
    await work(app)
    with pytest.raises(TaskFailed, match="expired") as failed:
        await late.result(timeout=30)
    assert (failed.value.reason, await late.status()) == ("expired", State.DEAD)
    assert await in_time.result(timeout=30) == 2


async def test_dependencies_come_later_and_say_so(app: App) -> None:
    parent = await ship(1).dispatch()
    with pytest.raises(CapabilityMissing, match="'after' needs the capability DEPENDENCIES"):
        await ship(2).options(after=[parent]).dispatch()
    with pytest.raises(
        ValueError, match=r"options\(\): after must .*; 'x' is not a valid one, got \['x'\]"
    ):
        ship(2).options(after=["x"])
    assert len(await messages(app)) == 1


async def test_largest_values_travel(sqlite_url: str) -> None:
    async with App({"driver": sqlite_url}) as app:
        handle = await (
            ship(5)
            .delay(1e10)
            .options(
                max_attempts=2**31 - 1,
                max_lost=2**31 - 1,
                timeout=1e10,
                expires=1e10,
                result_ttl=1e10,
            )
            .dispatch()
        )
        assert await handle.status() is State.SCHEDULED
        [message] = await messages(app)
        assert (message.max_attempts, message.max_lost) == (2**31 - 1, 2**31 - 1)
