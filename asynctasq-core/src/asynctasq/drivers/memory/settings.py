"""The settings of the memory driver."""

from asynctasq.contracts.capabilities import DEAD_LETTER_LIMIT, DEAD_LETTER_TTL_SECONDS
from asynctasq.records import record


@record
class MemorySettings:
    """Settings of `MemoryDriver`."""

    namespace: str = "asynctasq"
    """Named in logs only: instances share nothing unless one is the clone of the other."""
    dead_letter_ttl: float = DEAD_LETTER_TTL_SECONDS
    """Seconds for which a dead letter is kept."""
    dead_letter_limit: int = DEAD_LETTER_LIMIT
    """How many dead letters are kept, the newest."""
    outcome_limit: int = 1_000_000
    """How many outcomes are kept; beyond it those go first whose time ends first."""
