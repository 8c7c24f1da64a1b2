"""Seeded bugs that any driver can have: one list, laid over each driver.

Each breaks a rule on the way into a driver or out of it. Those of mutants.py break rules inside the
memory driver, where nothing from outside reaches.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Any

from asynctasq.conformance.harness import random_name
from asynctasq.contracts.capabilities import CancelOutcome, Capability
from asynctasq.contracts.driver import Enqueued, QueueCounts
from asynctasq.errors import DriverUnavailable
from asynctasq.message import Delivery, Message, State
from asynctasq.records import record
from asynctasq.settlement import (
    Cancelled,
    Complete,
    ErrorInfo,
    Fail,
    LeaseState,
    Release,
    Retry,
    Settled,
    Settlement,
)

ERROR = ErrorInfo("mutant", "", "")


def same(value: Any) -> Any:
    return value


@record
class Mutant:
    """What is wrong with a driver, and what of it is changed."""

    theme: str
    """The part of the suite that must catch it."""
    about: str
    message: Callable[[Message], Message] = same
    one_by_one: bool = False
    """Chunks are taken apart."""
    enqueued: Callable[[Enqueued], Enqueued] = same
    caps: Callable[[Mapping[str, int], int], Mapping[str, int]] = lambda caps, _: caps
    limit: Callable[[Mapping[str, int], int], int] = lambda _, limit: limit
    lease: Callable[[float], float] = same
    deliveries: Callable[[list[Delivery]], list[Delivery]] = same
    settlement: Callable[[Settlement], Settlement] = same
    settled: Callable[[Settled], Settled] = same
    held: Callable[[LeaseState], LeaseState] = same
    counts: Callable[[QueueCounts], QueueCounts] = same
    any_token: bool = False
    """A stale token is taken for the current one."""
    forgets_after: float = math.inf
    """Seconds after its end for which an id is known."""
    without: Capability = Capability.NONE
    """What the driver does not claim to have."""
    methods: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)
    """By name: what is called instead, with the method of the driver, the instance and its arguments."""


def mutated(base: Any, name: str, mutant: Mutant) -> Any:
    """Return a driver class with that bug."""
    tokens: dict[bytes, Any] = {}
    ended: dict[bytes, float] = {}

    def answer_of(self: Any, answer: Enqueued) -> Enqueued:
        age = time.time() + self.clock_offset - ended.get(answer.id, math.inf)
        return replace(answer, created=True) if age > mutant.forgets_after else answer

    def current(lease: Any) -> Any:
        return replace(lease, token=tokens.get(lease.id, lease.token))

    async def enqueue(self: Any, messages: Any) -> Any:
        changed = map(mutant.message, messages)
        if mutant.one_by_one:
            answers = [(await base.enqueue(self, [message]))[0] for message in changed]
        else:
            answers = await base.enqueue(self, list(changed))
        return [mutant.enqueued(answer_of(self, answer)) for answer in answers]

    async def reserve(self: Any, queues: Any, *, limit: int, owner: str, lease: float) -> Any:
        deliveries = await base.reserve(
            self,
            mutant.caps(queues, limit),
            limit=mutant.limit(queues, limit),
            owner=owner,
            lease=mutant.lease(lease),
        )
        tokens.update((each.lease.id, each.lease.token) for each in deliveries)
        return mutant.deliveries(deliveries)

    async def settle(self: Any, settlements: Any) -> Any:
        changed = [mutant.settlement(each) for each in settlements]
        if mutant.any_token:
            changed = [replace(each, lease=current(each.lease)) for each in changed]
        now = time.time() + self.clock_offset
        ended.update((s.lease.id, now) for s in changed if isinstance(s, Complete | Cancelled))
        return [mutant.settled(answer) for answer in await base.settle(self, changed)]

    async def extend(self: Any, owner: str, leases: Any, *, lease: float) -> Any:
        answers = await base.extend(self, owner, leases, lease=mutant.lease(lease))
        return [mutant.held(answer) for answer in answers]

    async def count(self: Any, queue: str, *, bound: int | None = None) -> Any:
        return mutant.counts(await base.count(self, queue, bound=bound))

    def instead(method: str) -> Any:
        async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            return await mutant.methods[method](getattr(base, method), self, *args, **kwargs)

        return call

    own: dict[str, Any] = {f.__name__: f for f in (enqueue, reserve, settle, extend, count)}
    own["capabilities"] = base.capabilities & ~mutant.without
    return type(name, (base,), own | {method: instead(method) for method in mutant.methods})


def of(message: Any, **changes: Any) -> Any:
    return replace(message, **changes)


def when(kind: type, change: Callable[[Any], Settlement]) -> Callable[[Settlement], Settlement]:
    """Return a function that changes one kind of settlement."""
    return lambda settlement: change(settlement) if isinstance(settlement, kind) else settlement


async def nothing(*_: Any, **__: Any) -> None:
    """Do nothing, in place of a method."""


async def none_requested(*_: Any, **__: Any) -> list[Any]:
    return []


async def cancel_always(method: Any, self: Any, ids: Any) -> Any:
    late = CancelOutcome.TOO_LATE
    return [CancelOutcome.CANCELLED if each is late else each for each in await method(self, ids)]


async def purge_all(method: Any, self: Any, queue: str, *, states: Any) -> Any:
    return await method(self, queue, states={State.SCHEDULED, State.READY, State.DEAD})


async def say_yes(method: Any, self: Any, ids: Any) -> Any:
    await method(self, ids)
    return [True for _ in ids]


async def drop_bytes(method: Any, self: Any, ids: Any) -> Any:
    return [each and replace(each, result=None) for each in await method(self, ids)]


async def one_page(method: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
    return replace(await method(self, *args, **kwargs), cursor=None)


async def of_another(method: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
    return await method(self, random_name("other"), **kwargs)


def finite(item: Any) -> Any:
    """Copy an item with 0 for infinite numbers, as a driver does that accepts any number."""
    numbers = {
        name: 0.0
        for name in ("delay", "eta", "expires", "result_ttl")
        if isinstance(value := getattr(item, name, None), float) and not math.isfinite(value)
    }
    return replace(item, **numbers) if numbers else item


def without(*names: str) -> Any:
    """Return a method that drops some of its arguments."""

    async def call(method: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        left = {name: value for name, value in kwargs.items() if name not in names}
        return await method(self, *args, **left)

    return call


def dropping(*names: str) -> Any:
    """Return a method whose answers lack some fields."""

    async def call(method: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        answers = await method(self, *args, **kwargs)
        return [each and replace(each, **dict.fromkeys(names)) for each in answers]

    return call


async def known_always(method: Any, self: Any, ids: Any) -> Any:
    return [True for _ in ids]


async def only_waiting(method: Any, self: Any, ids: Any) -> Any:
    found = await self.find(ids)
    return [each is not None and each.state is not State.DEAD for each in found]


async def prefix_as_name(method: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
    task = kwargs.get("task")
    if task is not None:
        kwargs["task"] = task.removesuffix("*") + "*"
    return await method(self, *args, **kwargs)


async def deadlock(method: Any, self: Any, messages: Any) -> Any:
    """Fail if another chunk with unique keys is under way."""
    cls = type(self)
    if not any(message.unique for message in messages):
        return await method(self, messages)
    if getattr(cls, "under_way", False):
        raise DriverUnavailable("Deadlock found when trying to get lock")
    cls.under_way = True
    try:
        await asyncio.sleep(0)
        return await method(self, messages)
    finally:
        cls.under_way = False


def other_key(change: Callable[[str], str]) -> Callable[[Message], Message]:
    """Return a function that changes the unique key of a message."""
    return lambda message: (
        message
        if message.unique is None
        else of(message, unique=of(message.unique, key=change(message.unique.key)))
    )


MUTANTS: dict[str, Mutant] = {
    "KeysCutShort": Mutant("keys", "Long keys are cut.", message=other_key(lambda key: key[:255])),
    "KeysEndAtNul": Mutant(
        "keys", "A key ends at a NUL.", message=other_key(lambda key: key.partition("\0")[0])
    ),
    "KeysOfOneCase": Mutant("keys", "Keys differ by more than case.", message=other_key(str.lower)),
    "ChunksDeadlock": Mutant(
        "races", "Chunks with the same keys exclude each other.", methods={"enqueue": deadlock}
    ),
    "KnownIdCreated": Mutant(
        "races", "A repeated enqueue is said to add.", enqueued=lambda a: of(a, created=True)
    ),
    "AboutDropped": Mutant(
        "results",
        "An outcome lacks what its settlement says about it.",
        settlement=lambda s: of(s, about=b"") if hasattr(s, "about") else s,
    ),
    "NeverResumed": Mutant(
        "due",
        "A delivery does not say that its message was leased before.",
        deliveries=lambda found: [of(each, resumed=False) for each in found],
    ),
    "AlwaysResumed": Mutant(
        "due",
        "A first delivery says that its message was leased before.",
        deliveries=lambda found: [of(each, resumed=True) for each in found],
    ),
    "DueAtMissing": Mutant(
        "due",
        "A delivery does not say when its message was due.",
        deliveries=lambda found: [of(each, due_at=0.0) for each in found],
    ),
    "GivenIdDropped": Mutant(
        "enqueue", "It is forgotten who chose an id.", message=lambda m: of(m, given_id=False)
    ),
    "TasksNotFiltered": Mutant(
        "listings", "A listing of one task has all.", methods={"browse": without("task")}
    ),
    "OwnersNotFiltered": Mutant(
        "listings", "A listing of one owner has all.", methods={"browse": without("owner")}
    ),
    "NamesArePrefixes": Mutant(
        "listings", "A task's name finds longer names.", methods={"browse": prefix_as_name}
    ),
    "ReasonsNotFiltered": Mutant(
        "listings", "Dead letters of all reasons.", methods={"dead_letters": without("reason")}
    ),
    "ErrorsNotFiltered": Mutant(
        "listings", "Dead letters of all errors.", methods={"dead_letters": without("error")}
    ),
    "BoundIgnored": Mutant(
        "listings", "A bounded count counts on.", methods={"queues": without("bound")}
    ),
    "LeasedAtMissing": Mutant(
        "listings", "Nothing says since when it runs.", methods={"find": dropping("leased_at")}
    ),
    "PausedAtMissing": Mutant(
        "listings",
        "Nothing says since when it is paused.",
        methods={"queues": dropping("paused_at")},
    ),
    "EverythingKnown": Mutant("listings", "Every id is known.", methods={"known": known_always}),
    "DeadNotKnown": Mutant(
        "listings", "A dead message is not known.", methods={"known": only_waiting}
    ),
    "AnyNumberEnqueued": Mutant(
        "enqueue", "A message with an infinite delay is stored.", message=finite
    ),
    "AnyNumberSettled": Mutant(
        "settle", "A settlement with an infinite delay is applied.", settlement=finite
    ),
    "AnyLeaseTaken": Mutant(
        "enqueue", "An infinite lease is taken.", lease=lambda s: s if math.isfinite(s) else 30.0
    ),
    "EndOwnerForgotten": Mutant(
        "workers", "An ended owner keeps its leases.", methods={"end_owner": nothing}
    ),
    "DelayIgnored": Mutant(
        "due", "A delayed message is ready at once.", message=lambda m: of(m, delay=0.0)
    ),
    "EtaIgnored": Mutant(
        "due", "A message with an eta is ready at once.", message=lambda m: of(m, eta=None)
    ),
    "PriorityIgnored": Mutant(
        "order", "All priorities stand in one line.", message=lambda m: of(m, priority=5)
    ),
    "HeadersDropped": Mutant(
        "enqueue", "A field that is only carried is lost.", message=lambda m: of(m, headers={})
    ),
    "ExpiryIgnored": Mutant(
        "expiry", "What came too late is delivered.", message=lambda m: of(m, expires=None)
    ),
    "MaxLostIgnored": Mutant(
        "lease",
        "What kills its workers is delivered for ever.",
        message=lambda m: of(m, max_lost=99),
    ),
    "UniqueKeyNotHeld": Mutant(
        "unique", "Two messages hold one key.", message=lambda m: of(m, unique=None)
    ),
    "AlwaysCreated": Mutant(
        "enqueue", "A repeated enqueue is said to add.", enqueued=lambda a: of(a, created=True)
    ),
    "IdForgottenWithinAMinute": Mutant(
        "enqueue", "An id whose result nobody wants is forgotten too early.", forgets_after=40.0
    ),
    "IdForgottenWhereThereAreNoResults": Mutant(
        "enqueue",
        "An id is forgotten too early by a driver that keeps no outcomes.",
        forgets_after=40.0,
        without=Capability.RESULTS,
    ),
    "ChunkNotAtomic": Mutant("enqueue", "Part of a chunk is enqueued.", one_by_one=True),
    "LimitIgnored": Mutant(
        "order", "More is taken than asked for.", limit=lambda caps, _: sum(caps.values())
    ),
    "QueueCapIgnored": Mutant(
        "order",
        "More is taken of a queue than asked for.",
        caps=dict.fromkeys,
    ),
    "QueuesInAnyOrder": Mutant(
        "order",
        "Queues are served by name, not as given.",
        caps=lambda caps, _: dict(sorted(caps.items())),
    ),
    "DeliveredTwice": Mutant(
        "order", "One reserve delivers a message twice.", deliveries=lambda found: found + found[:1]
    ),
    "NothingDelivered": Mutant("order", "A reserve forgets the last.", deliveries=lambda f: f[:-1]),
    "LeaseEndsEarly": Mutant(
        "lease", "A message is taken from its owner too early.", lease=lambda lease: lease / 2
    ),
    "LeaseEndsLate": Mutant(
        "lease", "What a dead worker held stays held.", lease=lambda lease: lease * 1000
    ),
    "ExtendRevivesLost": Mutant(
        "lease", "A lost lease is said to be held.", held=lambda _: LeaseState.HELD
    ),
    "StaleTokenAccepted": Mutant(
        "lease", "A worker that lost its lease may settle.", any_token=True
    ),
    "AnsweredDoneTwice": Mutant(
        "settle", "A second settlement is said to be done.", settled=lambda _: Settled.DONE
    ),
    "AttemptNotCounted": Mutant(
        "settle",
        "A retry does not count.",
        settlement=when(Retry, lambda r: Release(r.lease, r.delay)),
    ),
    "RetryDelayIgnored": Mutant(
        "settle", "A retry is ready at once.", settlement=when(Retry, lambda r: of(r, delay=0.0))
    ),
    "RetryDropsError": Mutant(
        "lease",
        "The error of an attempt is lost.",
        settlement=when(Retry, lambda r: of(r, error=ERROR)),
    ),
    "ReleaseCountsAttempt": Mutant(
        "settle",
        "A release counts as an attempt.",
        settlement=when(Release, lambda r: Retry(r.lease, r.delay, ERROR)),
    ),
    "ReleaseDelayIgnored": Mutant(
        "settle",
        "A release is ready at once.",
        settlement=when(Release, lambda r: of(r, delay=0.0)),
    ),
    "MismatchForgotten": Mutant(
        "settle",
        "Nobody remembers since when it fits nobody.",
        settlement=when(Release, lambda r: of(r, mismatched=False)),
    ),
    "CompletionKeepsMessage": Mutant(
        "settle", "What is done runs again.", settlement=when(Complete, lambda c: Release(c.lease))
    ),
    "ResultDropped": Mutant(
        "results",
        "A result is not stored.",
        settlement=when(Complete, lambda c: of(c, result=None)),
    ),
    "ResultKeptForEver": Mutant(
        "results",
        "An outcome is never forgotten.",
        settlement=when(Complete, lambda c: of(c, result_ttl=1e9)),
    ),
    "ResultUnreadable": Mutant(
        "results", "An outcome lacks its result.", methods={"results": drop_bytes}
    ),
    "FailedVanishes": Mutant(
        "settle",
        "What failed for good is not kept.",
        settlement=when(Fail, lambda f: Complete(f.lease)),
    ),
    "UnattemptedFailCounts": Mutant(
        "dead_letters",
        "What never ran counts an attempt.",
        settlement=when(Fail, lambda f: of(f, attempted=True)),
    ),
    "UnattemptedFailCountsUnlisted": Mutant(
        "inspect",
        "What never ran counts an attempt, in a driver that does not list its dead letters.",
        settlement=when(Fail, lambda f: of(f, attempted=True)),
        without=Capability.DEAD_LETTERS,
    ),
    "DeadLetterDropsError": Mutant(
        "dead_letters",
        "A dead letter does not say why.",
        settlement=when(Fail, lambda f: of(f, error=None)),
    ),
    "DeadLettersOnOnePage": Mutant(
        "dead_letters", "Later pages are not reached.", methods={"dead_letters": one_page}
    ),
    "RequeueAnything": Mutant(
        "dead_letters", "What waits is said to be requeued.", methods={"requeue": say_yes}
    ),
    "DeleteDeadDoesNothing": Mutant(
        "dead_letters", "A deleted dead letter stays.", methods={"delete_dead": none_requested}
    ),
    "CancelFlagIgnored": Mutant(
        "cancel", "Nobody hears of a cancel.", methods={"cancel_requests": none_requested}
    ),
    "CancelAlwaysSucceeds": Mutant(
        "cancel", "What has ended is said to be cancelled.", methods={"cancel": cancel_always}
    ),
    "PauseIgnored": Mutant("pause", "A paused queue is served.", methods={"pause": nothing}),
    "ResumeIgnored": Mutant("pause", "A queue stays paused.", methods={"resume": nothing}),
    "PurgeTakesAllStates": Mutant(
        "purge", "More is purged than asked for.", methods={"purge": purge_all}
    ),
    "PurgeTakesAnotherQueue": Mutant(
        "purge", "Another queue is purged.", methods={"purge": of_another}
    ),
    "ProgressDropped": Mutant(
        "progress", "Progress is not kept.", methods={"set_progress": nothing}
    ),
    "BrowseEndsEarly": Mutant(
        "inspect", "Later pages are not reached.", methods={"browse": one_page}
    ),
    "WorkersNotRecorded": Mutant(
        "workers", "No worker is listed.", methods={"record_worker": nothing}
    ),
    "ScheduledNotCounted": Mutant(
        "due", "What waits for its time is in no count.", counts=lambda c: of(c, scheduled=0)
    ),
}
