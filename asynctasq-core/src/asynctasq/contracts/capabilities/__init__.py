"""The capabilities that a driver may have beyond the required methods: a flag each, most with a protocol.

Each capability has its own module. The protocols of reserved flags are in theirs, and in
`asynctasq.contracts`. `check_capabilities` checks that flags and methods agree.
"""

from asynctasq.contracts.capabilities.cancel import SupportsCancel
from asynctasq.contracts.capabilities.checking import (
    PROTOCOLS,
    RESERVED,
    check_capabilities,
    protocol_of,
    require,
)
from asynctasq.contracts.capabilities.dead_letters import (
    DEAD_LETTER_LIMIT,
    DEAD_LETTER_TTL_SECONDS,
    DeadLetter,
    SupportsDeadLetters,
)
from asynctasq.contracts.capabilities.flags import EXACT_STORE, FULL_STORE, Capability
from asynctasq.contracts.capabilities.inspection import QueueInfo, Snapshot, SupportsInspect
from asynctasq.contracts.capabilities.news import NEWS_KEPT, News, SupportsNews
from asynctasq.contracts.capabilities.paging import SCANNED_AT_ONCE, Page
from asynctasq.contracts.capabilities.pause import SupportsPause
from asynctasq.contracts.capabilities.progress import SupportsProgress
from asynctasq.contracts.capabilities.purge import SupportsPurge
from asynctasq.contracts.capabilities.results import Outcome, SupportsResults
from asynctasq.contracts.capabilities.schema import SchemaState, SupportsSchema
from asynctasq.contracts.capabilities.workers import SupportsWorkers, WorkerInfo
from asynctasq.message import CancelOutcome

__all__ = [
    "DEAD_LETTER_LIMIT",
    "DEAD_LETTER_TTL_SECONDS",
    "EXACT_STORE",
    "FULL_STORE",
    "NEWS_KEPT",
    "PROTOCOLS",
    "RESERVED",
    "SCANNED_AT_ONCE",
    "CancelOutcome",
    "Capability",
    "DeadLetter",
    "News",
    "Outcome",
    "Page",
    "QueueInfo",
    "SchemaState",
    "Snapshot",
    "SupportsCancel",
    "SupportsDeadLetters",
    "SupportsInspect",
    "SupportsNews",
    "SupportsPause",
    "SupportsProgress",
    "SupportsPurge",
    "SupportsResults",
    "SupportsSchema",
    "SupportsWorkers",
    "WorkerInfo",
    "check_capabilities",
    "protocol_of",
    "require",
]
