"""Counts of runs by outcome, and histograms of their times, as bytes that can be added up.

    counts = {Count.COMPLETED: 3, RUN + bucket_of(0.25): 3}
    sum_counts([pack_counts(counts), pack_counts(counts)])

A duration falls into one of 60 buckets, each 1.25 times as long as the one before, or above them. A percentile
is therefore right within one bucket.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from enum import IntEnum
from struct import Struct, error

FACTOR = 1.25
BUCKETS = 60
BOUNDS: tuple[float, ...] = tuple(0.003 * FACTOR**number for number in range(BUCKETS))
"""Longest duration in each bucket, in seconds: from 3 ms to 26 minutes."""
RUN = 32
"""Number of the count of the first bucket of run times."""
WAIT = 128
"""Number of the count of the first bucket of waiting times."""
_VERSION = 1
_HEAD = Struct("!BBH")
_NUMBERS = 256
_MOST = (1 << 63) - 1
_SMALL = 1 << 32


class Count(IntEnum):
    """Counts that are not buckets. Their numbers are stored and must not change."""

    COMPLETED = 0
    RETRIED = 1
    """Runs that failed, and whose messages run again."""
    DEAD = 2
    """Messages that a worker made dead letters of."""
    CANCELLED = 3
    RELEASED = 4
    """Messages that a worker released, uncounted."""
    LOST = 5
    """Leases that ended because they were not renewed."""
    EXPIRED = 6
    """Messages that were not started in time."""
    RUN_MICROS = 16
    """Sum of the run times, in microseconds."""
    WAIT_MICROS = 17
    """Sum of the waiting times, in microseconds."""


NAMES: Mapping[str, Count] = {
    "completed": Count.COMPLETED,
    "retried": Count.RETRIED,
    "dead": Count.DEAD,
    "cancelled": Count.CANCELLED,
    "released": Count.RELEASED,
    "lost": Count.LOST,
    "expired": Count.EXPIRED,
}
"""Names of the counts of outcomes, for users and for labels of metrics."""


def bucket_of(seconds: float) -> int:
    """Return the number of the bucket of a duration, from 0 to `BUCKETS`; the last is above all bounds."""
    return bisect_left(BOUNDS, seconds)


def pack_counts(counts: Mapping[int, int]) -> bytes:
    """Return counts as bytes. Counts that are 0 are left out.

    Args:
        counts: by number, which is at most 255.
    """
    found = sorted((number, min(value, _MOST)) for number, value in counts.items() if value > 0)
    wide = any(value >= _SMALL for _, value in found)
    return b"".join(
        (
            _HEAD.pack(_VERSION, wide, len(found)),
            bytes(number for number, _ in found),
            _values(len(found), wide).pack(*(value for _, value in found)),
        )
    )


def unpack_counts(data: bytes) -> dict[int, int] | None:
    """Return what `pack_counts` made bytes of; None if they are damaged or of another version."""
    try:
        version, wide, length = _HEAD.unpack_from(data)
        if version != _VERSION or wide > 1 or length > _NUMBERS:
            return None
        start = _HEAD.size + length
        numbers = data[_HEAD.size : start]
        return dict(zip(numbers, _values(length, wide).unpack(data[start:]), strict=True))
    except (error, ValueError):
        return None


def _values(length: int, wide: int) -> Struct:
    return Struct(f"!{length}{'Q' if wide else 'I'}")


def add_to(sums: dict[int, int], counts: Mapping[int, int]) -> None:
    """Add counts to sums, in place."""
    for number, value in counts.items():
        sums[number] = sums.get(number, 0) + value


def sum_counts(parts: Iterable[bytes]) -> bytes:
    """Return the sum of packed counts. Damaged ones are left out."""
    sums: dict[int, int] = {}
    for part in parts:
        add_to(sums, unpack_counts(part) or {})
    return pack_counts(sums)


def histogram(counts: Mapping[int, int], first: int) -> list[int]:
    """Return the counts of all buckets, that above the bounds last.

    Args:
        counts: by number.
        first: `RUN` or `WAIT`.
    """
    return [counts.get(first + number, 0) for number in range(BUCKETS + 1)]


def percentile(buckets: list[int], part: float) -> float | None:
    """Return the duration that a part of all runs did not exceed, in seconds; None without runs.

    It is in the right bucket, at a place that supposes runs at equal distances. Above all bounds, the answer is
    the last bound.

    Args:
        buckets: from `histogram`.
        part: from 0 to 1, such as 0.95.
    """
    total = sum(buckets)
    if total == 0:
        return None
    rank = min(max(part, 0.0), 1.0) * total
    seen = 0
    for number, count in enumerate(buckets[:BUCKETS]):
        if count and seen + count >= rank:
            low = BOUNDS[number - 1] if number else 0.0
            return low + (BOUNDS[number] - low) * max(rank - seen, 0.0) / count
        seen += count
    return BOUNDS[-1]
