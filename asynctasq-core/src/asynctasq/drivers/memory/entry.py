"""The store's records of one message and of one owner."""

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from asynctasq.message import Message, State
from asynctasq.settlement import ErrorInfo, Reason

if TYPE_CHECKING:
    from asynctasq.drivers.memory.order import Group, Queue

READY, SCHEDULED, LEASED, DEAD = State.READY, State.SCHEDULED, State.LEASED, State.DEAD
"""As constants: to look up a member in its enum takes as long as a dozen other look-ups."""


@dataclass(eq=False, repr=False)
class Entry:
    """One message and where it is.

    Not slotted: most fields keep the class's value for life, and an instance that sets three
    fields instead of eighteen is made four times as fast. The constructor sets those fields that every
    message has sooner or later: Python copies the attributes of an instance if a name is new to its class.
    """

    message: Message
    group: "Group"
    queue: "Queue"
    enqueued_at: float
    place: int = 0
    """Place in the listing of its state, or among the leases of its owner; 0 while it has none."""

    state = READY
    due_at = 0.0
    """Time at which it became or becomes ready."""
    expires_at = inf
    """Time at which it expires unless it is leased before; infinity once it was leased."""
    token = 0
    """Token of its last lease; 0 if it was never leased."""
    attempt = 0
    lost = 0
    error: ErrorInfo | None = field(default=None, init=False)
    mismatched_at: float | None = field(default=None, init=False)
    progress: bytes | None = field(default=None, init=False)

    # While leased.
    owner: "Owner | None" = field(default=None, init=False)
    leased_at = 0.0
    cancelling = False

    # While dead.
    reason = Reason.FAILED
    died_at = 0.0

    about = b""
    """The `about` of the settlement that ended it."""

    def __lt__(self, other: "Entry") -> bool:
        """Order two entries with the same due time and ID in a heap: one of them is a leftover."""
        return False


class Owner:
    """A worker that leases messages. All of its leases have one deadline."""

    __slots__ = ("deadline", "leases", "name", "number")

    def __init__(self, name: str, deadline: float, number: int) -> None:
        self.name = name
        self.deadline = deadline
        self.number = number
        """Number of the owner, in the order of arrival."""
        self.leases: dict[bytes, Entry] = {}
        """Leased entries by ID, in the order of their places."""
