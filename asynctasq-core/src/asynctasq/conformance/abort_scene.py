"""A store with messages in every state, on which a call fails."""

from typing import TYPE_CHECKING, Any

from asynctasq.conformance.full_store import FullStore
from asynctasq.conformance.harness import MOMENT
from asynctasq.contracts.capabilities import Capability
from asynctasq.message import Delivery, Lease, Message, State, Unique, UniqueUntil, new_id
from asynctasq.settlement import Complete, ErrorInfo, Fail, Reason

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities.state import SupportsState

ERROR = ErrorInfo("shop.OutOfStock", "no more", "Traceback")
SECONDS = 30.0


class Scene:
    """A store with messages in every state, and an owner that has leases."""

    def __init__(self, driver: FullStore) -> None:
        self.driver = driver
        self.ids: set[bytes] = set()
        """All messages that were accepted, or may have been."""
        self.queues = ["emails"]
        """Queues that may have messages."""
        self.leases: list[Lease] = []
        self.dead: list[bytes] = []
        self.gone: set[bytes] = set()
        """Messages that may have been deleted."""
        self.first, self.second = self.message(), self.message()
        """Arguments of the operation."""

    def message(self, **fields: Any) -> Message:
        message = Message(new_id(), "emails", "app.send", b"body", **fields)
        self.ids.add(message.id)
        return message

    def message_of(self, lease: Lease) -> Message:
        """Return a message with the ID of a lease."""
        return Message(lease.id, "emails", "app.send", b"body")

    async def reserve(self, limit: int = 100, *, owner: str = "w") -> list[Delivery]:
        queues = dict.fromkeys(self.queues, limit)
        return await self.driver.reserve(queues, limit=limit, owner=owner, lease=SECONDS)

    async def prepare(self) -> None:
        driver = self.driver
        self.ids -= {self.first.id, self.second.id}
        waiting = [self.message(max_lost=99) for _ in range(14)]
        await driver.enqueue(waiting)
        self.leases = [delivery.lease for delivery in await self.reserve(12)]
        self.stray = self.leases.pop()  # the answer of its reserve was lost
        await driver.cancel([self.leases[0].id])
        self.dead = [lease.id for lease in self.leases[8:]]
        await driver.settle([Fail(lease, Reason.FAILED, ERROR) for lease in self.leases[8:]])
        self.leases = self.leases[:8]
        self.unique = self.message(delay=500.0, unique=Unique("key"))
        self.period = self.message(
            delay=500.0, unique=Unique("period", UniqueUntil.PERIOD, period=900.0)
        )
        self.expiring = self.message(expires=50.0)
        await driver.enqueue([self.unique, self.period, self.expiring])

    async def expect_all_accounted_for(self) -> None:
        """Check that each message is in one state, and that the counts agree with the states."""
        ids = sorted(self.ids - self.gone)
        snapshots = await self.driver.find(ids)
        outcomes = await self.driver.results(ids)
        lost = [
            one
            for one, snapshot, outcome in zip(ids, snapshots, outcomes, strict=True)
            if snapshot is None and outcome is None
        ]
        assert not lost
        counts = [await self.driver.count(queue) for queue in self.queues]
        all_found = await self.driver.find(sorted(self.ids))
        states = [snapshot.state for snapshot in all_found if snapshot is not None]
        for state in (State.READY, State.SCHEDULED, State.LEASED, State.DEAD):
            total = sum(getattr(count, state.value) for count in counts)
            assert total == states.count(state), state

    async def expect_nothing_stranded(self) -> None:
        """Check that every message that is not dead can be run to its end once all leases have ended."""
        await self.driver.resume("emails")
        self.driver.clock_offset += 1000.0
        for lease in (MOMENT, SECONDS):
            await self.driver.reserve({"none": 1}, limit=1, owner="other", lease=lease)
        while deliveries := await self.reserve(owner="last"):
            await self.driver.settle([Complete(delivery.lease) for delivery in deliveries])
        for queue in self.queues:
            counts = await self.driver.count(queue)
            assert (counts.ready, counts.scheduled, counts.leased) == (0, 0, 0)
        outcomes = await self.driver.results(sorted(self.ids - self.gone))
        assert all(outcome is not None for outcome in outcomes)
        keys = [Unique("key"), Unique("period", UniqueUntil.PERIOD, period=900.0)]
        answers = await self.driver.enqueue([self.message(unique=unique) for unique in keys])
        assert [answer.created for answer in answers] == [True, True], "a unique key is stranded"


def state_of(scene: Scene) -> "SupportsState | None":
    """Return the driver if it has the flag STATE. Without it, nothing is checked."""
    from asynctasq.contracts.capabilities.state import SupportsState

    driver: object = scene.driver
    has_state = Capability.STATE in scene.driver.capabilities
    return driver if has_state and isinstance(driver, SupportsState) else None
