"""Policies of a schedule: missed times, runs that overlap, and jitter."""

from enum import StrEnum
from hashlib import sha256

from asynctasq.message import OnConflict, ScheduledRun, Unique
from asynctasq.records import record

WINDOW = 86_400.0
"""Seconds for which `CatchUp.ALL` catches up, unless the schedule says otherwise."""


class CatchUp(StrEnum):
    """The runs of times that were missed, because no worker ran or the schedule was paused."""

    SKIP = "skip"
    """A time that is more than a minute late is left out."""
    ONE = "one"
    """The latest of the missed times runs."""
    ALL = "all"
    """Each of the missed times runs, if it is within the window."""


class Overlap(StrEnum):
    """The rule for a run that is due while the one before it is still waiting or running."""

    ALLOW = "allow"
    """Both run."""
    SKIP = "skip"
    """The next one is left out."""
    REPLACE = "replace"
    """The next one takes the place of one that waits. While one is running, it is left out."""


@record
class Policies:
    """The policies of one schedule."""

    catch_up: CatchUp = CatchUp.ONE
    window: float = WINDOW
    """Seconds for `CatchUp.ALL`."""
    overlap: Overlap = Overlap.ALLOW
    jitter: float = 0.0
    """Longest delay of a run, in seconds."""


def unique_key(schedule: str, overlap: Overlap) -> Unique | None:
    """Return the unique key of the messages of a schedule, by which runs do not overlap."""
    if overlap is Overlap.ALLOW:
        return None
    on_conflict = OnConflict.REPLACE if overlap is Overlap.REPLACE else OnConflict.SKIP
    return Unique(f"schedule:{schedule}", on_conflict=on_conflict)


def jitter_of(run: ScheduledRun, jitter: float) -> float:
    """Return the delay of a run, from 0 to `jitter` seconds: the same on every worker."""
    if jitter <= 0.0:
        return 0.0
    return int.from_bytes(_hash(run)[:8], "big") / 2**64 * jitter


def id_of_run(run: ScheduledRun) -> bytes:
    """Return the ID of the message of a run: a UUIDv7 made of the schedule and the planned time."""
    milliseconds = min(max(int(run.fire_time * 1000), 0), (1 << 48) - 1)
    random = int.from_bytes(_hash(run)[8:18], "big")
    number = milliseconds << 80 | (random & ((1 << 76) - 1))
    number = number & ~(0xF << 76) | 0x7 << 76
    return (number & ~(0b11 << 62) | 0b10 << 62).to_bytes(16, "big")


def _hash(run: ScheduledRun) -> bytes:
    return sha256(f"{run.fire_time!r} {run.schedule}".encode("utf-8", "surrogatepass")).digest()
