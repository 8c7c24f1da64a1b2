"""The order of events: those of one task come in the order of its states, although several processes publish them."""

from collections import deque
from collections.abc import Iterator

from asynctasq.events import Fact
from asynctasq.records import record


class _Entry:
    """A fact that is held."""

    __slots__ = ("fact", "is_passed")

    def __init__(self, fact: Fact) -> None:
        self.fact = fact
        self.is_passed = False


@record
class _Held:
    entries: list[_Entry]
    after: str | None
    """The position after the batch; None if it is not one of the store."""
    arrived_at: float


@record
class Placed:
    """A fact in its place."""

    fact: Fact
    cursor: str


class Reordering:
    """Holds batches for a moment, so that a fact can pass those which must not precede it."""

    def __init__(self) -> None:
        self._held: deque[_Held] = deque()
        self._of_task: dict[bytes, list[_Entry]] = {}
        """Facts with an order that are held, in the order of the stream."""
        self._before = ""
        self._passed = 0

    def begin(self, before: str, passed: int) -> None:
        """Begin at the position of a cursor.

        Args:
            before: the position in the store.
            passed: facts of the first batch that were passed already.
        """
        self._before, self._passed = before, passed

    def __len__(self) -> int:
        return len(self._held)

    def add(self, facts: list[Fact], *, after: str | None, at: float) -> None:
        """Hold a batch.

        Args:
            facts: of the batch.
            after: the position after it; None for facts that are not in the store.
            at: monotonic time.
        """
        entries = [_Entry(fact) for fact in facts]
        self._held.append(_Held(entries, after, at))
        for entry in entries:
            if entry.fact.id is not None and entry.fact.order is not None:
                self._of_task.setdefault(entry.fact.id, []).append(entry)

    @property
    def first_at(self) -> float | None:
        """Time at which the first batch that is held arrived; None if there is none."""
        return self._held[0].arrived_at if self._held else None

    def release(self) -> Iterator[Placed]:
        """Pass the facts of the first batch on, with all that must precede them.

        A cursor leads to a place after its fact. From there, a fact that has passed others may come again.
        """
        batch = self._held[0]
        if batch.after is None:
            self._held.popleft()
            for entry in batch.entries:
                yield Placed(entry.fact, pack_place(self._before, self._passed))
            return
        for number, entry in enumerate(batch.entries, 1):
            if entry.is_passed or number <= self._passed:
                self._forget(entry)
                continue
            for earlier in self._before_entry(entry):
                self._forget(earlier)
                yield Placed(earlier.fact, pack_place(self._before, number - 1))
            self._forget(entry)
            yield Placed(entry.fact, pack_place(self._before, number))
        self._held.popleft()
        self._before, self._passed = batch.after, 0

    def _before_entry(self, entry: _Entry) -> list[_Entry]:
        fact = entry.fact
        if fact.id is None or fact.order is None:
            return []
        order = fact.order
        earlier = [
            each
            for each in self._of_task.get(fact.id, ())
            if each.fact.order is not None and each.fact.order < order
        ]
        return sorted(earlier, key=_order)

    def _forget(self, entry: _Entry) -> None:
        entry.is_passed = True
        message_id = entry.fact.id
        if message_id is None or entry.fact.order is None:
            return
        of_task = self._of_task.get(message_id)
        if of_task is not None and entry in of_task:
            of_task.remove(entry)
            if not of_task:
                del self._of_task[message_id]


def _order(entry: _Entry) -> int:
    return entry.fact.order or 0


def pack_place(before: str, passed: int) -> str:
    """Return a place between two facts as a text: a position in the store, and facts of the next batch."""
    return before if passed == 0 else f"{before}~{passed}"


def unpack_place(cursor: str) -> tuple[str, int]:
    """Return the position in the store, and the number of facts of the next batch that come before the place.

    Raises:
        ValueError: it is not a place between two facts.
    """
    before, _, passed = cursor.partition("~")
    if not before or not (passed == "" or passed.isdecimal()):
        raise ValueError(f"The cursor must come from an event, got {cursor!r}.")
    return before, int(passed or 0)
