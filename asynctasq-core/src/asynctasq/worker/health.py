"""Worker health reports that do not depend on the event loop, so that a blocked loop is visible."""

import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from time import monotonic
from typing import Any, TypeAlias

from asynctasq.contracts.capabilities.outbox import OutboxState
from asynctasq.contracts.capabilities.worker_requests import WorkerRequest
from asynctasq.message import id_to_text
from asynctasq.plugins.gauges import Gauges
from asynctasq.version import __version__
from asynctasq.worker.in_flight import InFlight
from asynctasq.worker.options import WorkerOptions
from asynctasq.worker.services.loop_watch import LoopWatch
from asynctasq.worker.timing import HealthTiming
from asynctasq.worker.totals import Totals, packed_totals

Report: TypeAlias = dict[str, Any]
"""A value that JSON can represent."""


class Phase(StrEnum):
    """Phases of a worker, as health reports show them."""

    STARTING = "starting"
    RUNNING = "running"
    QUIET = "quiet"
    """Running, but taking no new messages, because an operator requested that."""
    STOPPING = "stopping"


WORKING = frozenset({Phase.RUNNING, Phase.QUIET})
"""Phases between start and stop."""


class OwnersToEnd:
    """Owners of leases whose processes have crashed; a supervisor names them until their leases are ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: set[str] = set()
        self._ended: set[str] = set()
        self.added: Callable[[], None] = lambda: None
        """Called in the thread that added owners."""

    def ask(self, owners: Collection[str]) -> list[str]:
        """Request the end of the leases of some owners, and return the owners for which that is done."""
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


OUTBOX_LATE_SECONDS = 60.0
"""Age of the oldest row of the outbox above which readiness reports contain a warning."""


class OutboxHealth:
    """The state of the outbox, as the relay of this worker has last seen it."""

    def __init__(self) -> None:
        self._seen: OutboxState | None = None
        self._seen_at = 0.0

    def note(self, state: OutboxState) -> None:
        """Keep the state."""
        self._seen, self._seen_at = state, monotonic()

    @property
    def is_late(self) -> bool:
        """True if the oldest row has waited for too long."""
        return self._oldest() > OUTBOX_LATE_SECONDS

    def warnings(self) -> list[str]:
        """Return the warning that rows have waited for too long, if they have."""
        if self._seen is None or not self.is_late:
            return []
        rows = self._seen.waiting
        return [f"the oldest of {rows} rows of the outbox has waited for {self._oldest():.0f} s"]

    def report(self) -> Report | None:
        """Report the number of rows and the age of the oldest one; None if there is no outbox."""
        if self._seen is None:
            return None
        return {
            "waiting": self._seen.waiting,
            "set_aside": self._seen.set_aside,
            "oldest": round(self._oldest(), 3),
        }

    def _oldest(self) -> float:
        """Return the age of the oldest row now, as if it still waited."""
        if self._seen is None or not self._seen.waiting:
            return 0.0
        return self._seen.oldest + monotonic() - self._seen_at


class WorkerHealth:
    """The health of one worker. Any thread except the worker's own may call the methods."""

    def __init__(
        self,
        options: WorkerOptions,
        *,
        owner: str,
        in_flight: InFlight,
        totals: Callable[[], Totals],
        gauges: Gauges,
        loop_watch: LoopWatch,
        timing: HealthTiming,
    ) -> None:
        """Make the health of a worker.

        Args:
            options: of the worker.
            owner: owner of its leases.
            in_flight: the messages that the worker holds.
            totals: returns what it has counted since its start.
            gauges: of plugins.
            loop_watch: of the worker's loop.
            timing: durations.
        """
        self._timing = timing
        self.loop_watch = loop_watch
        self.owner = owner
        self.ending = OwnersToEnd()
        self._about: dict[str, Any] = {
            "worker_id": options.worker_id,
            "version": __version__,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started_at": time.time(),
            "queues": dict(options.queues),
            "concurrency": options.concurrency,
        }
        self.held = in_flight.snapshot
        self._totals = totals
        self._gauges = gauges
        self._lease = options.lease
        self._stall_limit = options.stall_limit
        self.grace_period = options.grace_period
        self.outbox = OutboxHealth()
        self.request = WorkerRequest.RUN
        """The request of an operator that holds now."""
        self._phase = Phase.STARTING
        self.fetching = True
        """False once the fetcher has ended, for any reason."""
        self._reached_at = monotonic()

    @property
    def phase(self) -> Phase:
        """The phase of the worker."""
        if self._phase is Phase.RUNNING and self.request is WorkerRequest.QUIET:
            return Phase.QUIET
        return self._phase

    @phase.setter
    def phase(self, phase: Phase) -> None:
        self._phase = phase

    @property
    def shown_phase(self) -> Phase:
        """The phase for the registry, in which a worker that was requested to stop is stopping at once."""
        return Phase.STOPPING if self.request is WorkerRequest.STOP else self.phase

    def reached(self) -> None:
        """Note that a call to the store has just succeeded."""
        self._reached_at = monotonic()

    def live(self) -> Report:
        """Report whether the worker can still do its work; never calls the store."""
        lag = self.loop_watch.blocked_for(self._timing.answer)
        problems: list[str] = []
        if lag > self._stall_limit:
            problems.append(f"the event loop has been blocked for {lag:.0f} s")
        if not self.fetching and self.phase in WORKING:
            problems.append("the fetcher has ended")
        return _verdict(problems, loop_lag=round(lag, 3))

    def ready(self) -> Report:
        """Report whether the worker would fetch a message that is dispatched now."""
        lag = self.loop_watch.blocked_for(self._timing.answer)
        silence = monotonic() - self._reached_at
        problems: list[str] = []
        if self.phase is not Phase.RUNNING:
            problems.append(f"the worker is {self.phase}")
        elif not self.fetching:
            problems.append("the fetcher has ended")
        if lag > self._timing.blocked:
            problems.append(f"the event loop has been blocked for {lag:.0f} s")
        if silence > self._lease + self._timing.late:
            problems.append(f"the store has not been reached for {silence:.0f} s")
        verdict = _verdict(problems, loop_lag=round(lag, 3), store_reached_ago=round(silence, 3))
        warnings = self.outbox.warnings()
        return {**verdict, "warnings": warnings} if warnings else verdict

    def status(self) -> Report:
        """Report the worker and its running tasks, without their arguments, which may be secret."""
        held = self.held()
        now = monotonic()  # the clock of asyncio's loops, too
        running = sorted(
            (each for each in held if each.started_at), key=lambda each: each.started_at
        )
        outbox = self.outbox.report()
        return {
            **self._about,
            **({} if outbox is None else {"outbox": outbox}),
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

    def metrics(self) -> Report:
        """Report counts and gauges, those of plugins included; see `metric_reports`."""
        samples = [
            [each.name, each.value, dict(each.labels), each.help] for each in self._gauges.collect()
        ]
        lag = self.loop_watch.blocked_for(self._timing.answer)
        return {**self.last_metrics(), "loop_lag": lag, "samples": samples}

    def last_metrics(self) -> Report:
        """Report counts only, without asking the event loop or plugins, so that the loop's thread may call this."""
        held = self.held()
        return {
            "totals": packed_totals(self._totals()),
            "slots": self._about["concurrency"],
            "running": sum(1 for each in held if each.started_at),
            "held": len(held),
            "loop_lag": 0.0,
            "samples": [],
        }

    def beat(self) -> Report:
        """Return the report that a supervisor checks every second."""
        return {
            "phase": self.phase,
            "owner": self.owner,
            "live": self.live()["ok"],
            "stall_limit": self._stall_limit,
            "grace_period": self.grace_period,
        }


def worker_reports(health: WorkerHealth) -> dict[str, Callable[[], Report]]:
    """Return the health reports of one worker by path."""
    return {"/livez": health.live, "/readyz": health.ready, "/status": health.status}


def _verdict(problems: Sequence[str], **figures: float) -> Report:
    return {"ok": not problems, "problems": list(problems), **figures}
