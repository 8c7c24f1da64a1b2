"""WORKERS: a registry of workers with heartbeats."""

from typing import Protocol, runtime_checkable

from asynctasq.records import record


@record
class WorkerInfo:
    """A worker as it describes itself."""

    id: str
    host: str
    pid: int
    started_at: float
    queues: tuple[str, ...]
    concurrency: int
    running: int
    version: str
    seen_at: float = 0.0
    """The time of its last heartbeat, by its own clock, in seconds since the Unix epoch."""
    phase: str = ""
    """The phase of the worker, such as `starting`, `running` or `stopping`; empty if unknown."""
    loop_lag: float | None = None
    """Seconds by which its event loop was late when it was last measured."""
    resident_bytes: int | None = None
    """Memory of its process."""
    tasks: tuple[str, ...] = ()
    """Names of the tasks that it can run. Core shortens a long list."""
    longest_run: float | None = None
    """Seconds for which the longest of its current runs has been running; None if nothing runs."""
    owner: str = ""
    """The owner of its leases, a different one at each start of a worker; empty if its release did not record it."""


@runtime_checkable
class SupportsWorkers(Protocol):
    """WORKERS."""

    async def record_worker(self, worker: WorkerInfo, *, ttl: float) -> None:
        """Record a heartbeat. The store forgets the worker `ttl` seconds after the last one."""
        ...

    async def forget_worker(self, worker_id: str) -> None:
        """Remove a worker from the registry. Does nothing if it is not there."""
        ...

    async def end_owner(self, owner: str) -> None:
        """End all leases of `owner` now and count them as lost. For supervisors that saw the process die.

        The effect is that of leases that ended and were reclaimed: `lost` grows by one, a message is
        dead with reason `lost` if that exceeds `max_lost`, and a flagged message becomes cancelled.
        Nothing happens for an unknown owner. The work is done in bounded steps, all of it by the
        time of the answer, and also during a pause after an outage.
        """
        ...

    async def workers(self) -> list[WorkerInfo]:
        """Return the workers whose heartbeat has not run out, by id."""
        ...
