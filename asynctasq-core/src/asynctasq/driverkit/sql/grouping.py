"""Messages, and completions, that one statement writes together."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from asynctasq.driverkit.batching import batches
from asynctasq.driverkit.numbers import can_settle, check_numbers
from asynctasq.driverkit.packing import ID_BYTES, is_plain
from asynctasq.driverkit.sql.rows import pack_payload
from asynctasq.message import Message
from asynctasq.settlement import Complete, Settlement


class BatchMismatch(Exception):
    """A statement for many messages did not fit all of them: undo it, and look at each message.

    Most batches fit, so that the common case costs one statement.
    """


class InCommon(NamedTuple):
    """The columns that the messages of one statement share."""

    queue: str
    task: str
    priority: int
    max_attempts: int
    max_lost: int
    result_ttl: float
    expires: float | None
    plain: bool
    """True if the payload of each message is its body; otherwise it is the whole message."""
    unique_key: str | None

    @property
    def profile(self) -> tuple[object, ...]:
        """The arguments of `pack_profile`."""
        return self[1:8]


def runs_of(messages: Iterable[Message]) -> Iterator[tuple[InCommon, list[Message], list[bytes]]]:
    """Return runs of messages that differ in IDs and bodies alone, with the payloads of each run.

    Raises:
        DriverError: one of the messages cannot be stored.
    """
    for _, alike in groupby(messages, _all_but_id_and_body):
        run = list(alike)
        first = run[0]
        check_numbers(first)
        plain = is_plain(first)
        payloads = [each.body if plain else pack_payload(each, plain=False) for each in run]
        in_common = InCommon(
            first.queue, first.task, first.priority, first.max_attempts, first.max_lost,
            first.result_ttl, first.expires, plain,
            None if first.unique is None else first.unique.key,
        )  # fmt: skip
        yield in_common, run, payloads


def _all_but_id_and_body(message: Message) -> tuple[object, ...]:
    return (
        message.queue, message.task, message.priority, message.max_attempts, message.max_lost,
        message.result_ttl, message.expires, message.unique, message.delay, message.eta,
        message.parents, message.workflow, message.schedule, message.limits, message.group,
        message.headers, message.given_id,
    )  # fmt: skip


class Completions:
    """Completions whose outcomes are kept for the same time, with or without results."""

    __slots__ = ("result_ttl", "results", "settlements", "stored")

    def __init__(self, result_ttl: float, *, stored: bool) -> None:
        self.result_ttl = result_ttl
        self.stored = stored
        """True if results are kept."""
        self.settlements: list[Complete] = []
        self.results: list[bytes] = []
        """A result for each settlement; empty where none is kept."""

    @property
    def size(self) -> int:
        """Bytes of the IDs and the results."""
        return ID_BYTES * len(self.results) + sum(map(len, self.results))

    def pieces(self, most_bytes: int) -> "Iterator[Completions]":
        """Return it in pieces of at most so many bytes, unless a single result has more."""
        if self.size <= most_bytes:
            yield self
            return
        place = 0
        for results in batches(
            self.results, len(self.results), size=_row_size, most_bytes=most_bytes
        ):
            piece = Completions(self.result_ttl, stored=self.stored)
            piece.results += results
            piece.settlements += self.settlements[place : place + len(results)]
            place += len(results)
            yield piece


def _row_size(result: bytes) -> int:
    return ID_BYTES + len(result)


def completions_of(
    settlements: Sequence[Settlement], *, most_bytes: int, largest: int
) -> list[Completions] | None:
    """Return settlements as batches, each for one statement; None if a look at each is needed.

    That is so where one of them is not a completion, and where one can only be answered LOST or REFUSED.

    Args:
        settlements: as `settle` got them.
        most_bytes: the most bytes of a batch, unless a single result has more.
        largest: bytes of the largest result that a batch may hold.
    """
    alike: dict[tuple[float, bool], Completions] = {}
    batch: Completions | None = None
    for settlement in settlements:
        if type(settlement) is not Complete:
            return None
        lease, kept, ttl = settlement.lease, settlement.result, settlement.result_ttl
        stored = True
        if kept is None or not ttl > 0.0:
            kept, stored = b"", False
        if type(lease.token) is not int or len(lease.id) != ID_BYTES or len(kept) > largest:
            return None
        if batch is None or batch.result_ttl != ttl or batch.stored is not stored:
            batch = alike.get((ttl, stored))
            if batch is None:
                if not can_settle(settlement):
                    return None
                alike[ttl, stored] = batch = Completions(ttl, stored=stored)
        batch.settlements.append(settlement)
        batch.results.append(kept)
    return [piece for each in alike.values() for piece in each.pieces(most_bytes)]
