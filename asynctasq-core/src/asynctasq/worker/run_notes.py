"""Facts about the run of one message, for observers."""

from asynctasq.contracts.executor import AttemptResult
from asynctasq.settlement import ReleaseReason


class RunNotes:
    """Facts about one message for observers. They are kept only if there are some."""

    __slots__ = ("attempt", "committed", "duration", "released", "reported", "started_at")

    def __init__(self, started_at: float | None = None) -> None:
        """Make the notes; `started_at` is the Unix time at which the attempt started, None before."""
        self.started_at = started_at
        self.duration: float | None = None
        """Run time in seconds; None if the task never ran or still runs."""
        self.attempt: AttemptResult | None = None
        self.released: ReleaseReason | None = None
        self.committed = False
        """True if the task has completed itself in a transaction that was committed."""
        self.reported = False
        """True once `on_settled` was called or dropped."""
