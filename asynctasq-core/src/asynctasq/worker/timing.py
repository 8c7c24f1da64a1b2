"""Durations inside a worker, one record per component.

Users configure a worker with `WorkerOptions`. These values are fixed in production; tests pass other ones
to reach an outcome without waiting for it. All values are seconds unless the name says otherwise.
"""

from asynctasq.backoff import Backoff
from asynctasq.records import record

STORE_BACKOFF = Backoff(first=0.05, longest=5.0, jitter=0.5)
"""Pauses between calls to a store that is unavailable."""


@record
class EngineTiming:
    """Durations of the end of a worker."""

    interrupted: float = 5.0
    """Time for interrupted tasks to end."""
    refusal: float = 5.0
    """Time after which an interrupted task that still runs is reported."""
    settle_at_end: float = 10.0
    """Time for the last settlements when the worker stops."""
    observer: float = 5.0
    """Time for one observer of the worker's end."""
    hurried_observer: float = 1.0
    """Time for such an observer after the second signal."""


@record
class CloseTiming:
    """Durations of closing the parts of a worker, once its tasks are settled."""

    total: float = 10.0
    """Time for all parts together."""
    least: float = 1.0
    """Time for each part, also when other parts have used up the total."""


@record
class FetcherTiming:
    """Durations of fetching messages."""

    wait: float = 5.0
    """Longest single wait for work; drivers return earlier when there is some."""
    refused: float = 1.0
    """Pause after the store has refused a call that should work."""
    late: float = 0.5
    """Share of the lease after which an answer is late, so that its leases are verified."""
    backoff: Backoff = STORE_BACKOFF


@record
class PrefetchTiming:
    """Durations that decide how many messages a worker fetches ahead of free slots."""

    short_task: float = 0.02
    """Mean run time below which tasks are short: a slot that waits for a round trip to the store is then
    idle for a good part of its time."""
    wait: float = 0.04
    """Time within which a prefetched message is to start, at the recent rate of starts."""
    rate: float = 0.02
    """Busy time over which the rate is measured, once there is a first estimate."""
    keep: float = 0.25
    """Time after which prefetched messages are released: far longer than they were meant to wait."""


@record
class RunnerTiming:
    """Durations of deciding on runs."""

    mismatch: float = 5.0
    """Delay before a message that does not fit this release is available again, perhaps to a newer worker."""
    warning: float = 60.0
    """Time between two warnings about such messages of one task."""


@record
class LendingTiming:
    """Durations of watching tasks that wait for results."""

    stall: float = 3.0
    """Time for which waiting tasks may hold all slots before that is reported."""


@record
class SettlerTiming:
    """Durations of settling messages."""

    failed: float = 1.0
    """Pause after the driver has given an invalid answer, or has refused a settlement in every form."""
    backoff: Backoff = STORE_BACKOFF


@record
class OutageTiming:
    """Durations of reporting that the store is unavailable."""

    reminder: float = 60.0
    """Time between two log lines about one outage."""


@record
class RenewerTiming:
    """Durations of renewing leases."""

    tick: float = 0.75
    """Time between checks of cancel requests, progress and the worker's loop."""
    blocked: float = 2.0
    """Time after which a blocked event loop is reported."""
    requests: float = 2.0
    """Time between two looks for requests about a worker that holds nothing."""
    register: float = 10.0
    """Time between two records of the worker in the registry."""
    metrics: float = 10.0
    """Time between two flushes of the counts of the worker. A worker that is killed loses as much."""
    register_ttl: float = 60.0
    """Time after which the registry forgets a worker that no longer records itself."""
    restart: Backoff = Backoff(first=0.5, longest=5.0)
    """Pauses before the renewer starts again after a crash."""
    stop: float = 10.0
    """Time for the renewer to stop: it may be blocked in a call to the store."""


@record
class ScheduleTiming:
    """Durations of firing schedules."""

    idle: float = 5.0
    """Longest time between two looks at what is due: another process may have made a schedule."""
    hold: float = 10.0
    """Time for which claimed schedules are hidden from other workers. If this one dies, another goes on then."""
    turn: float = 1.0
    """Time for firing before leases are renewed."""
    declare: float = 3600.0
    """Time between two declarations of the schedules in the code."""


@record
class OutboxTiming:
    """Durations of forwarding messages of the outbox."""

    look: float = 1.0
    """Time between two looks for rows that were committed by other processes."""
    hold: float = 10.0
    """Time for which a relay holds a store: after it was killed, another one goes on."""
    margin: float = 2.0
    """Time before the end of a hold in which no more batch is sent."""
    state: float = 5.0
    """Time between two reports of the number and the age of rows."""
    failed: float = 5.0
    """Pause after the database of the outbox has refused a call."""
    backoff: Backoff = STORE_BACKOFF
    refused: Backoff = Backoff(first=2.0, longest=600.0)
    """Pauses before a message is sent again that its store has refused."""
    attempts: int = 10
    """Number of refusals after which a row is set aside. Those of a store that refuses every message do not count."""
    refused_all: Backoff = Backoff(first=2.0, longest=60.0)
    """Pauses while a store refuses every message."""


@record
class MemoryTiming:
    """Durations of the memory limit."""

    check: float = 0.5
    """Time between two checks of `max_memory`."""


@record
class HealthTiming:
    """Durations of health reports and their server."""

    answer: float = 1.0
    """Time for an event loop to show that it runs."""
    blocked: float = 2.0
    """Time after which a worker with a blocked event loop is not ready."""
    late: float = 1.0
    """Time by which a renewal of leases may be late."""

    request: float = 5.0
    """Time for a whole request, from the connection to the end of its answer."""
    eviction: float = 0.01
    """Pause after a connection was closed for another: a flood of them costs little processor time."""
    error: float = 1.0
    """Pause after the system could give no descriptor or no thread."""


@record
class SignalTiming:
    """Durations of handling signals."""

    echo: float = 0.5
    """Time within which a further signal repeats the first one: a service manager signals all processes of
    a group, and a supervisor in that group forwards the signal. People are slower."""
    check: float = 1.0
    """Time between checks that tasks have left the handlers alone."""


@record
class WatchdogTiming:
    """Limits on the end of a worker's process."""

    last: float = 10.0
    """Time for threads, and functions registered with `atexit`, to end once the worker has."""
    start: float = 5.0
    """Time for a start to end that was cancelled by a signal."""
    second: float = 1.0
    """Time for the process to end after the second signal, unless tasks run."""
    beyond_grace: float = 30.0
    """Time for a worker to settle and close after its grace period."""
    hurry: float = 20.0
    """Time for running tasks to be interrupted and settled after the second signal."""
    report: float = 2.0
    """Time for the last log line: a handler may hang, too."""
    check: float = 0.5
    """Time between checks of the worker's stage."""


@record
class ControlTiming:
    """Durations of the channel between a supervisor and a worker process; both sides know them."""

    ignored: float = 2.0
    """Time after which a worker that ignores SIGTERM is stopped through the channel: a task has replaced its
    handlers."""
    end: float = 30.0
    """Time for a worker to settle and close after its grace period."""


@record
class SupervisorTiming:
    """Durations of supervising worker processes."""

    beat: float = 1.0
    """Time between two health checks of a process."""
    metrics: float = 10.0
    """Time between two reports of the metrics of a process, in case it is killed."""
    restart: Backoff = Backoff(first=0.5, longest=30.0)
    """Pauses before a process starts again that died soon after its start."""
    settled: float = 10.0
    """Lifetime after which a death is not blamed on the start."""
    hurry: float = 20.0
    """Time for processes to end after the second signal."""
    starting: float = 10.0
    """Time for a process that is still starting to end after the first signal."""
    silent_start: float = 60.0
    """Time for which a new process may be silent, before it has reported its own limit."""
    answer: float = 5.0
    """Time for a process to answer; it does so even when its event loop is blocked."""
    last_reports: float = 0.5
    """Time to read the last reports of a process that has ended."""
    orphan_check: float = 0.05
    """Time between checks whether the child processes of a dead worker have ended: the system kills them."""
    orphan_checks: int = 200
    """Number of these checks."""


@record
class WorkerTiming:
    """The timing of all components of a worker."""

    engine: EngineTiming = EngineTiming()
    close: CloseTiming = CloseTiming()
    fetcher: FetcherTiming = FetcherTiming()
    prefetch: PrefetchTiming = PrefetchTiming()
    runner: RunnerTiming = RunnerTiming()
    lending: LendingTiming = LendingTiming()
    settler: SettlerTiming = SettlerTiming()
    outage: OutageTiming = OutageTiming()
    renewer: RenewerTiming = RenewerTiming()
    schedules: ScheduleTiming = ScheduleTiming()
    outbox: OutboxTiming = OutboxTiming()
    memory: MemoryTiming = MemoryTiming()
    health: HealthTiming = HealthTiming()
    signals: SignalTiming = SignalTiming()
    watchdog: WatchdogTiming = WatchdogTiming()
    control: ControlTiming = ControlTiming()
    supervisor: SupervisorTiming = SupervisorTiming()
