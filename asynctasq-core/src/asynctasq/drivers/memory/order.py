"""Ordered collections: by time (`TimerQueue`), by priority and time (`Queue`), by arrival (`Listing`).

All of them drop items lazily. An item that was removed elsewhere is a leftover: it is no longer current, and
stays in its heap until it comes up, or until leftovers outnumber the rest. So no call ever searches the
backlog.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from math import inf
from typing import Generic, TypeVar

from asynctasq.drivers.memory.entry import READY, Entry
from asynctasq.message import PRIORITY_HIGHEST

T = TypeVar("T")

LEFTOVERS_TOLERATED = 64


class TimerQueue(Generic[T]):
    """Items by time. `is_current(time, item)` returns False for leftovers."""

    def __init__(self, is_current: Callable[[float, T], bool]) -> None:
        self._is_current = is_current
        self._heap: list[tuple[float, int, T]] = []
        self._sequence = 0
        self._leftovers = 0

    def __len__(self) -> int:
        return len(self._heap) - self._leftovers

    def add(self, time: float, item: T) -> None:
        # The sequence number keeps heapq from ever comparing two items.
        self._sequence += 1
        heappush(self._heap, (time, self._sequence, item))

    def next_time(self) -> float:
        """Time at which the first item falls due; infinity if there is none."""
        heap = self._heap
        while heap:
            time, _, item = heap[0]
            if self._is_current(time, item):
                return time
            heappop(heap)
            self._leftovers -= 1
        return inf

    def take(self, now: float) -> T | None:
        """Take the first item that is due, if there is one."""
        first = self.next_time()
        return self.take_first() if self._heap and first <= now else None

    def take_first(self) -> T:
        """Take the first item, due or not."""
        return heappop(self._heap)[2]

    def dropped(self) -> None:
        """Note that one more item is a leftover."""
        self._leftovers += 1
        if self._leftovers > LEFTOVERS_TOLERATED and self._leftovers * 2 > len(self._heap):
            self._heap = [item for item in self._heap if self._is_current(item[0], item[2])]
            self._leftovers = 0
            heapify(self._heap)


Item = tuple[float, bytes, Entry]


class PriorityQueue:
    """The ready messages of one priority of one queue, by due time and id.

    Most arrive in that order. They go to the end of `_line`, which costs the same however long it
    is; only those that come out of turn go through the heap.
    """

    __slots__ = ("_heap", "_line")

    def __init__(self) -> None:
        self._line: deque[Item] = deque()
        self._heap: list[Item] = []

    def push(self, entry: Entry) -> None:
        item = (entry.due_at, entry.message.id, entry)
        if not self._line or item > self._line[-1]:
            self._line.append(item)
        else:
            heappush(self._heap, item)

    def take(self) -> Entry | None:
        """Take the first current message; None if there is none."""
        line, heap = self._line, self._heap
        while line or heap:
            from_heap = heap and (not line or heap[0] < line[0])
            due_at, _, entry = heappop(heap) if from_heap else line.popleft()
            if entry.state is READY and entry.due_at == due_at:
                return entry
        return None

    def first(self) -> Entry | None:
        """Return the first current message, and leave it in its place."""
        entry = self.take()
        if entry is not None:
            self._line.appendleft((entry.due_at, entry.message.id, entry))
        return entry

    def keep_standing(self) -> None:
        """Drop the leftovers."""
        self._line = deque(item for item in self._line if _is_current(item))
        self._heap = [item for item in self._heap if _is_current(item)]
        heapify(self._heap)


def _is_current(item: Item) -> bool:
    return item[2].state is READY and item[2].due_at == item[0]


class Queue:
    """The ready messages of one queue in order, and how many messages are in each state."""

    __slots__ = (
        "_lanes",
        "_leftovers",
        "_slots",
        "dead",
        "groups",
        "leased",
        "name",
        "ready",
        "scheduled",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready = 0
        self.scheduled = 0
        self.leased = 0
        self.dead = 0
        self.groups: dict[str, Group] = {}
        """The waiting messages by task, for listings."""
        self._slots = 0
        """Slots of the ready messages in all groups, leftovers included."""
        self._leftovers = 0
        self._lanes: dict[int, PriorityQueue] = {}

    def add(self, entry: Entry, place: int) -> None:
        """Add a message that has become ready, also to the listing of its group."""
        self.ready += 1
        self._slots += 1
        entry.place = place
        listing = entry.group.ready
        listing.places.append(place)
        listing.entries.append(entry)
        self.push(entry)

    def push(self, entry: Entry) -> None:
        """Put a ready message into its lane."""
        priority = self.rank(entry)
        lane = self._lanes.get(priority)
        if lane is None:
            self._lanes[priority] = lane = PriorityQueue()
            self._lanes = {key: self._lanes[key] for key in sorted(self._lanes)}
        lane.push(entry)

    def rank(self, entry: Entry) -> int:
        """Return the lane of a message: 0 comes first."""
        return PRIORITY_HIGHEST - entry.message.priority

    def take(self) -> Entry | None:
        """Take the message that is next to be leased; None if there is none."""
        if self.ready:
            for lane in self._lanes.values():
                entry = lane.take()
                if entry is not None:
                    return entry
        return None

    def oldest_ready_at(self) -> float | None:
        """Time at which the message that has been ready for longest became ready."""
        firsts = [entry.due_at for lane in self._lanes.values() if (entry := lane.first())]
        return min(firsts, default=None)

    def tidy(self) -> None:
        """Drop leftovers from the listings of the groups if there are many."""
        if self._slots > LEFTOVERS_TOLERATED + 2 * self.ready:
            self._slots = 0
            for group in self.groups.values():
                group.ready.drop_leftovers()
                self._slots += len(group.ready.places)

    def dropped(self) -> None:
        """Note that a ready message was removed from its place."""
        self.tidy()
        self._leftovers += 1
        if self._leftovers > LEFTOVERS_TOLERATED and self._leftovers > self.ready:
            self._leftovers = 0
            for lane in self._lanes.values():
                lane.keep_standing()


class Listing:
    """Messages in the order of arrival, read in pages that cost the same at any position.

    A message has a place, a number that only grows. A page begins after a place, which a binary search
    finds. A message that leaves only loses its place; its slot is dropped when such slots outnumber the
    others.
    """

    __slots__ = ("_head", "_leftovers", "entries", "places")

    def __init__(self) -> None:
        self.places: list[int] = []
        self.entries: list[Entry] = []
        self._head = 0
        """Index of a slot before which there are only leftovers."""
        self._leftovers = 0

    def __len__(self) -> int:
        return len(self.places) - self._leftovers

    def add(self, entry: "Entry", place: int) -> None:
        """Append a message. `place` must be greater than all before it."""
        entry.place = place
        self.places.append(place)
        self.entries.append(entry)

    def remove(self, entry: "Entry") -> None:
        """Remove a message of this listing, and count it."""
        entry.place = 0
        self._leftovers += 1
        if self._leftovers > LEFTOVERS_TOLERATED and self._leftovers * 2 > len(self.places):
            self.drop_leftovers()

    def first(self) -> "Entry | None":
        """Return the oldest message; None if there is none."""
        while self._head < len(self.places):
            entry = self.entries[self._head]
            if entry.place == self.places[self._head]:
                return entry
            self._head += 1
        return None

    def after(self, place: int) -> "Iterator[tuple[int, Entry]]":
        """Iterate over slots after a place, oldest first. The place of a leftover is not its entry's."""
        self.first()  # skips leading leftovers
        start = max(bisect_right(self.places, place), self._head)
        for index in range(start, len(self.places)):
            yield self.places[index], self.entries[index]

    def before(self, place: int) -> "Iterator[tuple[int, Entry]]":
        """Iterate over slots before a place, newest first."""
        for index in range(bisect_left(self.places, place) - 1, -1, -1):
            yield self.places[index], self.entries[index]

    def drop_leftovers(self) -> None:
        """Drop the slots of messages that have another place now."""
        self.entries = [
            entry
            for place, entry in zip(self.places, self.entries, strict=True)
            if entry.place == place
        ]
        self.places = [entry.place for entry in self.entries]
        self._head = self._leftovers = 0


class Group:
    """The waiting messages of one task in one queue."""

    __slots__ = ("number", "queue", "ready", "scheduled", "task")

    def __init__(self, number: int, queue: "Queue", task: str) -> None:
        self.number = number
        self.queue = queue
        self.task = task
        self.ready = Listing()
        """Its queue counts the slots, and drops leftovers of all groups together: `Queue.tidy`."""
        self.scheduled = Listing()
