"""The settings of the memory driver."""

from asynctasq.contracts.capabilities import DEAD_LETTER_LIMIT, DEAD_LETTER_TTL_SECONDS
from asynctasq.records import record


@record
class MemorySettings:
    """Settings of `MemoryDriver`."""

    namespace: str = "asynctasq"
    """Name for logs. It does not make instances share messages: only clones do."""
    dead_letter_ttl: float = DEAD_LETTER_TTL_SECONDS
    """Seconds for which a dead letter is kept."""
    dead_letter_limit: int = DEAD_LETTER_LIMIT
    """Number of dead letters that are kept; the oldest are deleted first."""
    outcome_limit: int = 1_000_000
    """Number of outcomes that are kept; the ones that expire first are deleted first."""
