"""How a worker is, told without its event loop: a task that blocks that is what one wants to hear of."""

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from time import monotonic
from typing import Any, TypeAlias

from asynctasq.message import id_to_text
from asynctasq.worker.in_flight import InFlightMessage

Report: TypeAlias = dict[str, Any]
"""What JSON can carry."""

ANSWER_SECONDS = 1.0
"""What a loop gets to show that it runs."""
BLOCKED_SECONDS = 2.0
"""A worker whose loop has not run for this long is not ready."""
SLACK_SECONDS = 1.0
"""Of a renewal that is a little late."""


class Phase(StrEnum):
    """Of a worker's life."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class OwnersToEnd:
    """Owners of leases whose processes have died, as a supervisor names them until they are ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: set[str] = set()
        self._ended: set[str] = set()
        self.added: Callable[[], None] = lambda: None
        """Called in the thread that added some."""

    def ask(self, owners: Collection[str]) -> list[str]:
        """Have their leases ended; returns those of them whose leases have been."""
        with self._lock:
            self._ended &= set(owners)
            self._asked = set(owners) - self._ended
            ended, left = sorted(self._ended), bool(self._asked)
        if left:
            self.added()
        return ended

    def todo(self) -> list[str]:
        """Return the owners whose leases are to be ended."""
        with self._lock:
            return sorted(self._asked)

    def done(self, owner: str) -> None:
        """Note that the leases of an owner have been ended."""
        with self._lock:
            self._asked.discard(owner)
            self._ended.add(owner)


class WorkerHealth:
    """What is known of one worker. Every method may be called from any thread but the worker's own."""

    def __init__(
        self,
        *,
        owner: str,
        about: Mapping[str, Any],
        held: Callable[[], Sequence[InFlightMessage]],
        lease: float,
        stall_limit: float,
        grace_period: float,
    ) -> None:
        """Make them for the running loop.

        Args:
            owner: of its leases.
            about: what never changes; for `status`.
            held: what the worker holds, in one atomic step.
            lease: seconds within which the store has to be reached.
            stall_limit: seconds for which the loop may be blocked.
            grace_period: seconds that running tasks get at the end.
        """
        self.owner = owner
        self.ending = OwnersToEnd()
        self._about = dict(about)
        self.held = held
        self._lease = lease
        self._stall_limit = stall_limit
        self.grace_period = grace_period
        self._lag = LoopLag(asyncio.get_running_loop())
        self.phase = Phase.STARTING
        self.fetching = True
        """False once the fetcher has ended, whatever for."""
        self._reached_at = monotonic()

    def reached(self) -> None:
        """A call to the store has just succeeded."""
        self._reached_at = monotonic()

    def live(self) -> Report:
        """Whether it is of any use; never asks the store."""
        lag = self._lag.seconds(ANSWER_SECONDS)
        problems: list[str] = []
        if lag > self._stall_limit:
            problems.append(f"the event loop has been blocked for {lag:.0f} s")
        if not self.fetching and self.phase is Phase.RUNNING:
            problems.append("the fetcher has ended")
        return _verdict(problems, loop_lag=round(lag, 3))

    def ready(self) -> Report:
        """Whether it would take a message that is dispatched now."""
        lag = self._lag.seconds(ANSWER_SECONDS)
        silence = monotonic() - self._reached_at
        problems: list[str] = []
        if self.phase is not Phase.RUNNING:
            problems.append(f"the worker is {self.phase}")
        elif not self.fetching:
            problems.append("the fetcher has ended")
        if lag > BLOCKED_SECONDS:
            problems.append(f"the event loop has been blocked for {lag:.0f} s")
        if silence > self._lease + SLACK_SECONDS:
            problems.append(f"the store has not been reached for {silence:.0f} s")
        return _verdict(problems, loop_lag=round(lag, 3), store_reached_ago=round(silence, 3))

    def status(self) -> Report:
        """Who it is and what it runs. No arguments: they may be secret."""
        held = self.held()
        now = monotonic()  # the clock of asyncio's loops, too
        running = sorted(
            (each for each in held if each.started_at), key=lambda each: each.started_at
        )
        return {
            **self._about,
            "phase": self.phase,
            "live": self.live(),
            "ready": self.ready(),
            "stall_limit": self._stall_limit,
            "grace_period": self.grace_period,
            "held": len(held),
            "running": [
                {
                    "id": id_to_text(each.delivery.message.id),
                    "name": each.delivery.message.task,
                    "queue": each.delivery.message.queue,
                    "attempt": each.delivery.attempt,
                    "age": round(max(0.0, now - each.started_at), 3),
                }
                for each in running
            ],
        }

    def beat(self) -> Report:
        """What a supervisor wants to know every second."""
        return {
            "phase": self.phase,
            "owner": self.owner,
            "live": self.live()["ok"],
            "stall_limit": self._stall_limit,
            "grace_period": self.grace_period,
        }


class LoopLag:
    """For how long an event loop has not run; found by asking it, from other threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asking = threading.Lock()
        self._asked_at: float | None = None
        self._answered = threading.Event()

    def seconds(self, patience: float) -> float:
        """Since the oldest question that is not answered; 0 if one is answered within `patience`."""
        with self._asking:
            if self._asked_at is None:
                self._answered.clear()
                self._asked_at = monotonic()
                with suppress(RuntimeError):  # closed: the worker has ended
                    self._loop.call_soon_threadsafe(self._answer)
        self._answered.wait(patience)
        asked_at = self._asked_at
        return 0.0 if asked_at is None else monotonic() - asked_at

    def _answer(self) -> None:
        self._asked_at = None
        self._answered.set()


def worker_reports(vitals: WorkerHealth) -> dict[str, Callable[[], Report]]:
    """Those of one worker."""
    return {"/livez": vitals.live, "/readyz": vitals.ready, "/status": vitals.status}


def _verdict(problems: Sequence[str], **figures: float) -> Report:
    return {"ok": not problems, "problems": list(problems), **figures}
