"""What can be set of the memory driver."""

from asynctasq.records import record

DAY = 86_400.0


@record
class MemorySettings:
    """Settings of `MemoryDriver`."""

    namespace: str = "asynctasq"
    """Named in logs only: instances share nothing unless one is the clone of the other."""
    dead_letter_ttl: float = 30 * DAY
    """Seconds for which a dead letter is kept."""
    dead_letter_limit: int = 100_000
    """How many dead letters are kept, the newest."""
    outcome_limit: int = 1_000_000
    """How many outcomes are kept; beyond it those go first whose time ends first."""
