"""Scripts that fail half-way: Redis keeps their writes, but nothing is lost or counted wrongly.

Each case makes a script fail at its k-th command, for every k. Then the call is repeated (or is not), a
healthy worker drains the queues, and all that is left is looked at.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import pytest
import redis

from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.contracts.capabilities.state import Adopted, Ended, Note, NoteKind
from asynctasq.contracts.capabilities.worker_requests import WorkerRequest
from asynctasq.errors import DriverError
from asynctasq.message import (
    Delivery,
    Lease,
    Message,
    OnConflict,
    State,
    Unique,
    UniqueUntil,
    new_id,
)
from asynctasq.settlement import Cancelled, Complete, ErrorInfo, Fail, Reason, Release, Retry
from asynctasq_redis import RedisDriver
from tests.servers.redis import RedisServer, redis_server
from tests.servers.redis_faults import Faults

pytestmark = pytest.mark.sampled(3)

NAMESPACE = "aborted"
QUEUES = {"a": 5000, "b": 5000}
ERROR = ErrorInfo("E", "message", "traceback")


class Store(NamedTuple):
    driver: RedisDriver
    client: "redis.Redis"

    def pass_time(self, seconds: float) -> None:
        self.driver.clock_offset += seconds

    async def lease(self, owner: str = "w", lease: float = 0.3) -> list[Delivery]:
        return await self.driver.reserve(QUEUES, limit=5000, owner=owner, lease=lease)

    async def add(self, *messages: Message) -> list[Message]:
        await self.driver.enqueue(messages)
        return list(messages)


Call = Callable[[], Awaitable[Any]]
Prepare = Callable[[Store], Awaitable[tuple[list[Message], list[Message], Call]]]
"""Returns messages that were accepted, messages that the call adds, and the call."""


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Yield a server without the keys of other tests, so that a sweep meets every key."""
    with redis_server(tmp_path_factory.mktemp("aborts")) as server:
        yield server


@pytest.fixture
async def store(own_server: RedisServer) -> AsyncIterator[Store]:
    driver = RedisDriver(own_server.url, namespace=NAMESPACE)
    await driver.open()
    with own_server.client() as client:
        yield Store(driver, client)
    await driver.close()


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    found = Faults()
    monkeypatch.setattr("asynctasq_redis.server.script", found.script)
    return found


def message(queue: str = "a", **fields: Any) -> Message:
    return Message(new_id(), queue, "t", fields.pop("body", b"body"), result_ttl=60.0, **fields)


# The calls.


def adding(*make: Callable[[], Message]) -> Prepare:
    async def prepare(store: Store) -> tuple[list[Message], list[Message], Call]:
        messages = [each() for each in make]
        return [], messages, lambda: store.driver.enqueue(messages)

    return prepare


def conflicting(rule: OnConflict) -> Prepare:
    async def prepare(store: Store) -> tuple[list[Message], list[Message], Call]:
        old = await store.add(message(unique=Unique("k"), delay=0.2))
        new = [message(unique=Unique("k", on_conflict=rule))]
        return old, new, lambda: store.driver.enqueue(new)

    return prepare


async def reserving(store: Store) -> tuple[list[Message], list[Message], Call]:
    messages = await store.add(
        message(),
        message(body=bytes(20_000)),
        message("b"),
        message(delay=0.05),
        message(expires=50.0),
        message(unique=Unique("k", UniqueUntil.STARTED)),
    )
    store.pass_time(0.06)
    return messages, [], store.lease


async def reserving_what_is_plain(store: Store) -> tuple[list[Message], list[Message], Call]:
    await store.lease("w", 10.0)  # sees to what time has brought about
    messages = await store.add(*[message() for _ in range(20)], message("b"))
    return messages, [], lambda: store.lease("w", 10.0)


async def completing_what_is_plain(store: Store) -> tuple[list[Message], list[Message], Call]:
    messages = await store.add(message(), message(), message("b"))
    leased = [delivery.lease for delivery in await store.lease()]
    done = [Complete(lease, b"r", 60.0) for lease in leased[:2]]
    return messages, [], lambda: store.driver.settle([*done, Complete(leased[2], None, 60.0)])


async def reserving_what_was_lost(store: Store) -> tuple[list[Message], list[Message], Call]:
    messages = await store.add(message(), message("b"), message(max_lost=0), message())
    await store.lease("gone", 0.05)
    await store.driver.cancel([messages[-1].id])
    store.pass_time(0.1)
    return messages, [], store.lease


async def reserving_late(store: Store) -> tuple[list[Message], list[Message], Call]:
    messages = await store.add(message(), message(expires=0.01), message("b", expires=0.01))
    store.pass_time(0.05)
    return messages, [], store.lease


async def reserving_damaged(store: Store) -> tuple[list[Message], list[Message], Call]:
    messages = await store.add(message(), message(), message("b"))
    store.client.set(b"{aborted}:2:m:" + messages[0].id, b"damaged")
    return messages, [], store.lease


async def reserving_after_an_outage(store: Store) -> tuple[list[Message], list[Message], Call]:
    messages = await store.add(message())
    await store.lease("gone", 0.05)
    store.pass_time(0.2)
    return messages, [], store.lease


def settling(make: Callable[[Lease], Any], *, cancelled: bool = False) -> Prepare:
    async def prepare(store: Store) -> tuple[list[Message], list[Message], Call]:
        messages = await store.add(
            message(), message(expires=9.0), message("b", unique=Unique("k"))
        )
        leased = [delivery.lease for delivery in await store.lease()]
        await store.driver.set_progress([(leased[0], b"half")])
        if cancelled:
            await store.driver.cancel([messages[1].id])
        return messages, [], lambda: store.driver.settle([make(lease) for lease in leased])

    return prepare


async def extending(store: Store) -> tuple[list[Message], list[Message], Call]:
    messages = await store.add(message(), message("b"), message())
    leased = await store.lease("w", 5.0)
    await store.driver.cancel([messages[1].id])
    store.pass_time(3.0)
    await store.driver.reserve({"none": 1}, limit=1, owner="other", lease=2e-6)  # ends the pause
    known = [leased[0].lease]
    return messages, [], lambda: store.driver.extend("w", known, lease=0.1)


async def ending_an_owner(store: Store) -> tuple[list[Message], list[Message], Call]:
    messages = await store.add(message(), message("b"), message(max_lost=0), message())
    await store.lease("w", 30.0)
    await store.driver.cancel([messages[-1].id])
    return messages, [], lambda: store.driver.end_owner("w")


async def cancelling(store: Store) -> tuple[list[Message], list[Message], Call]:
    messages = await store.add(message(), message(delay=30.0), message(unique=Unique("k")))
    return messages, [], lambda: store.driver.cancel([each.id for each in messages])


async def dead(store: Store) -> list[Message]:
    messages = await store.add(message(), message("b", unique=Unique("k")))
    leased = await store.lease("w", 30.0)
    await store.driver.settle([Fail(each.lease, Reason.FAILED, ERROR) for each in leased])
    return messages


async def requeueing(store: Store) -> tuple[list[Message], list[Message], Call]:
    messages = await dead(store)
    return messages, [], lambda: store.driver.requeue([each.id for each in messages])


async def editing(store: Store) -> tuple[list[Message], list[Message], Call]:
    messages = await dead(store)
    edited = Message(messages[0].id, "b", "t", bytes(20_000), expires=50.0, result_ttl=60.0)
    return messages, [], lambda: store.driver.requeue_edited(edited)


async def deleting(store: Store) -> tuple[list[Message], list[Message], Call]:
    messages = await dead(store)
    return [], messages, lambda: store.driver.delete_dead([each.id for each in messages])


def purging(state: State) -> Prepare:
    async def prepare(store: Store) -> tuple[list[Message], list[Message], Call]:
        gone = await dead(store)
        gone += await store.add(message(unique=Unique("u")), message(delay=0.2, expires=9.0))
        return [], gone, lambda: store.driver.purge("a", states=[state])

    return prepare


async def progressing(store: Store) -> tuple[list[Message], list[Message], Call]:
    messages = await store.add(message())
    [delivery] = await store.lease()
    return messages, [], lambda: store.driver.set_progress([(delivery.lease, b"half")])


async def pausing(store: Store) -> tuple[list[Message], list[Message], Call]:
    return await store.add(message()), [], lambda: store.driver.pause("c")


async def resuming(store: Store) -> tuple[list[Message], list[Message], Call]:
    await store.driver.pause("c")
    return await store.add(message()), [], lambda: store.driver.resume("c")


def worker(name: str) -> WorkerInfo:
    return WorkerInfo(name, "host", 1, 0.0, ("a",), 1, 0, "1")


async def recording(store: Store) -> tuple[list[Message], list[Message], Call]:
    await store.driver.record_worker(worker("late"), ttl=0.1)
    store.pass_time(0.2)
    return [], [], lambda: store.driver.record_worker(worker("w"), ttl=60.0)


async def forgetting(store: Store) -> tuple[list[Message], list[Message], Call]:
    await store.driver.record_worker(worker("w"), ttl=60.0)
    return [], [], lambda: store.driver.forget_worker("w")


async def requesting(store: Store) -> tuple[list[Message], list[Message], Call]:
    await store.driver.record_worker(replace(worker("w"), owner="w/1"), ttl=60.0)
    await store.driver.request_workers(["w"], WorkerRequest.QUIET)
    return [], [], lambda: store.driver.request_workers(["w", "unknown"], WorkerRequest.STOP)


async def awaiting(store: Store) -> tuple[list[Message], list[Message], Call]:
    messages = await store.add(message())
    ids = [messages[0].id, new_id()]
    return messages, [], lambda: store.driver.wait_results(ids, timeout=0.0)


async def waiting(store: Store) -> tuple[list[Message], list[Message], Call]:
    messages = await store.add(message())
    return messages, [], lambda: store.driver.wait(["c"], timeout=0.0)


async def finishing(store: Store) -> tuple[list[Message], list[Message], Call]:
    done, cancelled, dead = messages = [message(), message(), message(unique=Unique("k"))]
    ends = [
        Ended(done, State.COMPLETED, 1e9, b"result", 60.0, about=b"about"),
        Ended(cancelled, State.CANCELLED, 1e9, result_ttl=60.0),
        Ended(dead, State.DEAD, 1e9, reason=Reason.FAILED, error=ERROR, about=b"about"),
    ]
    return [], messages, lambda: store.driver.finish(ends)


async def taking_over(store: Store) -> tuple[list[Message], list[Message], Call]:
    ready, later, flagged = messages = [
        message(body=bytes(20_000)),
        message(unique=Unique("k")),
        message(),
    ]
    await store.driver.note([Note(ready.id, NoteKind.PROGRESS, b"half", 60.0)])
    await store.driver.flag([flagged.id], ttl=60.0)
    past = [
        Adopted(each, due_at, 1e9, error=ERROR)
        for each, due_at in ((ready, 1e9), (later, time.time() + 0.1), (flagged, 1e9))
    ]
    return [], messages, lambda: store.driver.adopt(past)


async def noting(store: Store) -> tuple[list[Message], list[Message], Call]:
    notes = [Note(new_id(), NoteKind.RUNNING, b"w", 60.0) for _ in range(3)]
    return [], [], lambda: store.driver.note(notes)


async def flagging(store: Store) -> tuple[list[Message], list[Message], Call]:
    messages = await store.add(message(), message(delay=0.1))
    ids = [new_id(), *(each.id for each in messages)]
    return messages, [], lambda: store.driver.flag(ids, ttl=60.0)


CASES: dict[str, tuple[str, Prepare]] = {
    "enqueue": (
        "enqueue",
        adding(
            message,
            lambda: message("b"),
            lambda: message(delay=0.1),
            lambda: message(expires=50.0),
            lambda: message(body=bytes(20_000)),
            lambda: message(unique=Unique("k")),
        ),
    ),
    "enqueue many": ("enqueue", adding(*[message] * 2500)),
    "enqueue one": ("enqueue_one", adding(message)),
    "enqueue, replace": ("enqueue", conflicting(OnConflict.REPLACE)),
    "enqueue, extend": ("enqueue", conflicting(OnConflict.EXTEND)),
    "enqueue, skip": ("enqueue", conflicting(OnConflict.SKIP)),
    "reserve": ("reserve", reserving),
    "reserve plain": ("reserve", reserving_what_is_plain),
    "reserve lost": ("reserve", reserving_what_was_lost),
    "reserve expired": ("reserve", reserving_late),
    "reserve damaged": ("reserve", reserving_damaged),
    "reserve after an outage": ("reserve", reserving_after_an_outage),
    "complete": ("settle", settling(lambda lease: Complete(lease, b"r", 60.0))),
    "complete plain": ("settle", completing_what_is_plain),
    "complete without result": ("settle", settling(lambda lease: Complete(lease, None, 60.0))),
    "retry": ("settle", settling(lambda lease: Retry(lease, 0.0, ERROR))),
    "retry later": ("settle", settling(lambda lease: Retry(lease, 0.1, ERROR))),
    "retry, cancelled": (
        "settle",
        settling(lambda lease: Retry(lease, 0.0, ERROR), cancelled=True),
    ),
    "fail": ("settle", settling(lambda lease: Fail(lease, Reason.FAILED, ERROR))),
    "release": ("settle", settling(Release)),
    "release, mismatched": ("settle", settling(lambda lease: Release(lease, 0.1, True))),
    "cancelled": ("settle", settling(lambda lease: Cancelled(lease, 60.0))),
    "extend": ("extend", extending),
    "give back": ("give_back", extending),
    "end owner": ("end_owner", ending_an_owner),
    "cancel": ("cancel", cancelling),
    "requeue": ("requeue", requeueing),
    "requeue edited": ("requeue", editing),
    "delete dead": ("delete_dead", deleting),
    "purge ready": ("purge", purging(State.READY)),
    "purge scheduled": ("purge", purging(State.SCHEDULED)),
    "purge dead": ("purge", purging(State.DEAD)),
    "progress": ("set_progress", progressing),
    "pause": ("pause", pausing),
    "resume": ("pause", resuming),
    "record worker": ("record_worker", recording),
    "forget worker": ("forget_worker", forgetting),
    "request workers": ("request_workers", requesting),
    "finish": ("finish", finishing),
    "adopt": ("hand_over", taking_over),
    "note": ("note", noting),
    "flag": ("cancel", flagging),
    "wait": ("wait", waiting),
    "wait for results": ("wait_results", awaiting),
}
ADDING = {name for name in CASES if name.startswith("enqueue")}
PARTS = {
    *(
        "adopt",
        "common",
        "counts",
        "damage",
        "facts",
        "flagged",
        "plain",
        "probe",
        "recount",
        "reserve_plain",
        "rows",
        "schedule",
        "stream",
    ),
    *("settle_plain", "sweep", "task", "upgrade", "upkeep"),
}
"""Files that other scripts contain, and those that a driver runs when it opens (see test_redis_upgrade.py)."""
READING = {
    *("cancel_requests", "choose", "count", "find", "find_schedules", "known", "leased"),
    *("list_schedules", "match_ids"),
    *("marks", "members", "metrics", "names"),
    *("paused", "progress", "recent", "requests", "results", "workers"),
}
COUNTING = {"add_metrics", "add_up"}
"""Scripts that test_redis_metrics.py makes fail."""
SCHEDULING = {"change_schedules", "claim_schedules", "fire", "put_schedules"}
"""Scripts that test_redis_schedules.py makes fail."""
LISTENING = {"events", "events_look", "publish"}
"""Scripts that test_redis_events.py makes fail."""
FINAL = {"complete", "complete without result", "fail", "cancelled", "finish"}
"""Settlements after which a message is never delivered again, if the call is repeated."""
SHORT = {
    *("forget_worker", "note", "pause", "record_worker", "request_workers"),
    *("wait", "wait_results"),
}
STEP = 5
"""Every fifth command of a long script fails, if the tests do not run in full. Without a repetition of the call,
that is always enough."""


def test_every_script_that_writes_is_made_to_fail() -> None:
    scripts = {Path(each.name).stem for each in (files("asynctasq_redis") / "lua").iterdir()}
    written = scripts - PARTS - READING - COUNTING - SCHEDULING - LISTENING
    assert written == {name for name, _ in CASES.values()}


@pytest.mark.parametrize("repeated", [True, False], ids=["repeated", "given up"])
@pytest.mark.parametrize("title", CASES)
async def test_script_that_fails_at_any_command_loses_nothing(
    store: Store, faults: Faults, title: str, repeated: bool, request: pytest.FixtureRequest
) -> None:
    name, prepare = CASES[title]
    at = 0
    in_full = repeated and request.config.getoption("full")
    step = 1 if in_full or name in SHORT else STEP
    for at in range(1 + crc32(title.encode()) % step, 1000, step):
        store.client.flushdb()
        store.driver.clock_offset = 0.0
        accepted, others, call = await prepare(store)
        faults.name, faults.at, faults.lasting = name, at, at % 2 == 0
        try:
            await call()
            break
        except DriverError as error:
            if "injected" not in str(error):
                raise
        finally:
            faults.name = None
        where = f"{title}, command {at}"
        stored = await store.driver.known([each.id for each in others])
        answer: Any = None
        if repeated:
            answer = await call()
        if repeated and title in ADDING and "skip" not in title and "extend" not in title:
            created = [each.created for each in answer]
            assert created == [not known for known in stored], where
        if repeated and title in ADDING:
            accepted = [
                *accepted,
                *(each for each, made in zip(others, answer, strict=True) if made.created),
            ]
        if repeated and title in {"requeue", "requeue edited"}:
            assert answer if title == "requeue edited" else all(answer), where
        if repeated and title in {"finish", "adopt"}:
            accepted = [*accepted, *others]
        first: Sequence[Delivery] = answer if name == "reserve" and repeated else ()
        delivered = await drained(store, first)
        await expect_all_is_well(store, accepted, where)
        assert all(count == 1 for count in delivered.values()), where
        if repeated and title in FINAL:
            assert not delivered, f"{where}: a run that had ended was repeated"
    assert at > step


@pytest.mark.parametrize("title", CASES)
async def test_script_on_a_full_server_does_all_or_nothing(store: Store, title: str) -> None:
    name, prepare = CASES[title]
    store.client.flushdb()
    store.driver.clock_offset = 0.0
    accepted, others, call = await prepare(store)
    answer: Any = None
    try:
        store.client.config_set("maxmemory", 1)
        answer = await call()
    except DriverError as error:
        if "maxmemory" not in str(error):
            raise
        assert name in {"enqueue", "enqueue_one", "requeue"}, "workers and operators go on"
        known = await store.driver.known([each.id for each in others])
        assert known == [False] * len(others)
    finally:
        store.client.config_set("maxmemory", 0)
    await drained(store, (answer or ()) if name == "reserve" else ())
    if title not in {"requeue", "requeue edited"}:
        await expect_all_is_well(store, accepted, title)


async def drained(store: Store, first: Sequence[Delivery]) -> Counter[bytes]:
    """Deliver everything to a healthy worker; return how often each message came."""
    seen = Counter(delivery.message.id for delivery in first)
    for owner_ended in [False, *[True] * 6]:
        if owner_ended:
            store.pass_time(0.11)
        deliveries = await store.lease("healthy", 30.0)
        for delivery in deliveries:
            assert delivery.attempt <= 1, "a run was counted twice"
            assert delivery.lost <= 2, "a lost lease was counted twice"
            seen[delivery.message.id] += 1
        await store.driver.settle([Complete(each.lease, b"r", 60.0) for each in deliveries])
        if first:
            await store.driver.settle([Complete(each.lease, b"r", 60.0) for each in first])
            first = ()
    store.pass_time(31.0)  # what is due in thirty seconds, and leases of as many
    for lease in (0.000002, 1.0, 1.0, 1.0):
        store.pass_time(0.06)
        deliveries = await store.lease("late", lease)
        seen.update(delivery.message.id for delivery in deliveries)
        await store.driver.settle([Complete(each.lease, b"r", 60.0) for each in deliveries])
    return seen


async def expect_all_is_well(store: Store, accepted: Sequence[Message], where: str) -> None:
    ids = [each.id for each in accepted]
    outcomes = await store.driver.results(ids)
    assert [outcome is not None for outcome in outcomes] == [True] * len(ids), where
    dead_ids = {o.id for o in outcomes if o is not None and o.state is State.DEAD}
    listed = {letter.message.id for letter in (await store.driver.dead_letters()).items}
    assert dead_ids <= listed, where
    for info in await store.driver.queues():
        assert (info.ready, info.scheduled, info.leased) == (0, 0, 0), (where, info)
    assert sum(info.dead for info in await store.driver.queues()) == len(listed), where
    prefix = b"{aborted}:2:"
    for key in store.client.scan_iter(match=prefix + b"*", count=1000):
        name = key.removeprefix(prefix)
        assert name[:2] not in (b"o:", b"c:", b"u:"), (where, name)
        assert name not in (b"exp", b"big", b"leases"), (where, name)
        if name[:2] == b"x:":
            assert name[2:] in listed, where
        if name[:2] in (b"w:", b"i:") or name in (b"awaited", b"workers", b"workers:described"):
            assert store.client.pttl(key) != -1, (where, name)  # it expires
    described = set(store.client.hkeys(prefix + b"workers:described"))
    listed_workers = set(store.client.zrange(prefix + b"workers", 0, -1))
    assert described <= listed_workers, where
