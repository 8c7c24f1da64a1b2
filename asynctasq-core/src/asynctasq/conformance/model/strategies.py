"""Strategies for the operations of the model test. Values are few and small, so that they collide."""

from collections.abc import Callable
from uuid import UUID

from hypothesis import strategies as st

from asynctasq.contracts.capabilities import Capability
from asynctasq.message import (
    Lease,
    Message,
    OnConflict,
    OnParentFailure,
    Parent,
    ScheduledRun,
    State,
    Unique,
    UniqueUntil,
)
from asynctasq.records import record
from asynctasq.settlement import (
    Cancelled,
    Complete,
    ErrorInfo,
    Fail,
    Reason,
    Release,
    Retry,
    Settlement,
)

UNIT = 100.0
"""Seconds; all durations are multiples of it, so that no two events are close by accident."""
A_MONTH = 26_000 * UNIT
"""A step after which dead letters are past their time."""
QUEUES = ("a", "b.2", "c-3")
OWNERS = ("owner-1", "owner-2", "owner-3")
KEYS = ("key-1", "key-2")
TASKS = ("task", "task", "tasks.other")
PATTERNS = (None, None, "task", "task*", "tasks.other", "other*")
IDS = tuple(UUID(int=(0x0190 << 112) | (7 << 76) | (2 << 62) | n).bytes for n in range(16))
"""Few, so that they meet again."""

# What operations are made of.

numbers = st.integers(0, 3)
positions = st.integers(0, 9)
some_states = st.frozensets(st.sampled_from(State), min_size=1, max_size=2)
seconds = st.integers(1, 4).map(lambda n: n * UNIT)
delays = st.sampled_from((0.0, 0.0, 0.0, UNIT, 2 * UNIT, 3 * UNIT))
steps_of_time = st.sampled_from((*(UNIT, UNIT, 2 * UNIT, 4 * UNIT) * 4, A_MONTH))
ids = st.sampled_from(IDS)
choices = st.lists(st.integers(0, len(IDS) + 9), min_size=1, max_size=3)
"""Mostly of what there is, by position; beyond nine of any id."""
queues = st.sampled_from(QUEUES)
owners = st.sampled_from(OWNERS)
errors = st.builds(
    ErrorInfo, st.sampled_from(("ValueError", "OSError")), st.text(max_size=3), st.just("trace")
)
reasons = st.sampled_from((None, None, Reason.FAILED, Reason.LOST, Reason.EXPIRED))
error_types = st.sampled_from((None, None, "ValueError", "Error"))
patterns = st.sampled_from(PATTERNS)
keys = st.sampled_from((KEYS[0], KEYS[0], KEYS[1]))


@st.composite
def uniques(draw: st.DrawFn) -> Unique:
    """Draw unique keys of every kind."""
    until = draw(st.sampled_from(UniqueUntil))
    period = draw(seconds) if until is UniqueUntil.PERIOD else None
    return Unique(draw(keys), until, draw(st.sampled_from(OnConflict)), period)


FIELDS_CARRIED: dict[str, object] = {
    "max_attempts": 7,
    "parents": (Parent(IDS[0], OnParentFailure.RUN), Parent(IDS[1])),
    "workflow": IDS[2],
    "schedule": ScheduledRun("nightly", 1_700_000_000.5),
    "limits": ("limit-1", "limit-2:key é"),
    "group": "group",
    "headers": {"trace": "é"},
    "given_id": True,
}
"""Fields that drivers store and do not act on."""
ACTED_ON: dict[str, Capability] = {
    "parents": Capability.DEPENDENCIES,
    "workflow": Capability.DEPENDENCIES,
    "schedule": Capability.SCHEDULES,
    "limits": Capability.LIMITS,
    "group": Capability.LIMITS,
}
"""Fields that a driver with these flags does act on, so that they are not played."""


@record
class Plan:
    """A message but for what depends on the driver and the clock."""

    id: bytes
    queue: str
    task: str
    body: bytes
    priority: int
    delay: float
    eta_units: int | None
    """From the beginning of the example."""
    expires: float | None
    max_lost: int
    result_ttl: float
    unique: Unique | None
    carried: tuple[str, ...]

    def message(self, began_at: float, capabilities: Capability) -> Message:
        """Half a unit keeps `eta` apart from what comes of delays, however the clocks differ."""
        eta = None if self.eta_units is None else began_at + (self.eta_units - 0.5) * UNIT
        message = Message(
            self.id,
            self.queue,
            self.task,
            self.body,
            priority=self.priority if Capability.PRIORITY in capabilities else 5,
            delay=self.delay,
            eta=eta,
            expires=self.expires,
            max_lost=self.max_lost,
            result_ttl=self.result_ttl,
            unique=self.unique if Capability.UNIQUE in capabilities else None,
        )
        for name in self.carried:
            if ACTED_ON.get(name, Capability.NONE) & capabilities:
                continue
            setattr(message, name, FIELDS_CARRIED[name])
        return message


plans = st.builds(
    Plan,
    id=ids,
    queue=queues,
    task=st.sampled_from(TASKS),
    body=st.sampled_from((b"body", b"", b"\x00\xff")),
    priority=st.sampled_from((5, 9, 0, 6)),
    delay=delays,
    eta_units=st.sampled_from((*(None,) * 12, -1, 1, 2, 4)),
    expires=st.sampled_from((*(None,) * 12, 0.0, UNIT, 3 * UNIT)),
    max_lost=st.integers(0, 2),
    result_ttl=st.sampled_from((0.0, 0.0, UNIT, 3 * UNIT)),
    unique=st.one_of(st.none(), uniques()),
    carried=st.one_of(st.just(()), st.just(tuple(FIELDS_CARRIED))),
)

abouts = st.sampled_from((b"", b"about", b"\x00\xff"))
Ending = Callable[[Lease], Settlement]
endings: st.SearchStrategy[Ending] = st.one_of(
    st.builds(
        lambda result, ttl, about: lambda lease: Complete(lease, result, ttl, about),
        st.sampled_from((None, b"", b"result")),
        delays,
        abouts,
    ),
    st.builds(lambda delay, error: lambda lease: Retry(lease, delay, error), delays, errors),
    st.builds(
        lambda reason, error, attempted, about: (
            lambda lease: Fail(lease, reason, error, attempted, about)
        ),
        st.sampled_from((Reason.FAILED, Reason.UNDECODABLE, Reason.REJECTED)),
        st.one_of(st.none(), errors),
        st.booleans(),
        abouts,
    ),
    st.builds(
        lambda delay, mismatched: lambda lease: Release(lease, delay, mismatched),
        delays,
        st.booleans(),
    ),
    st.builds(lambda ttl, about: lambda lease: Cancelled(lease, ttl, about), delays, abouts),
)
