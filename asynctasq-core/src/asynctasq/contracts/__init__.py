"""The contracts that plugins implement: driver, serializer, executor and resolver.

The module exports everything that a driver needs: values, settlements, flags, protocols and errors.
"""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asynctasq.contracts.capabilities import (
    DEAD_LETTER_LIMIT,
    DEAD_LETTER_TTL_SECONDS,
    EXACT_STORE,
    FULL_STORE,
    NEWS_KEPT,
    SCANNED_AT_ONCE,
    Capability,
    DeadLetter,
    News,
    Outcome,
    Page,
    QueueInfo,
    SchemaState,
    Snapshot,
    SupportsCancel,
    SupportsDeadLetters,
    SupportsInspect,
    SupportsNews,
    SupportsPause,
    SupportsProgress,
    SupportsPurge,
    SupportsResults,
    SupportsSchema,
    SupportsWorkers,
    WorkerInfo,
    check_capabilities,
    require,
)
from asynctasq.contracts.driver import (
    BYTES_AT_ONCE,
    DEFAULT_LEASE_SECONDS,
    DRIVER_API_VERSION,
    Driver,
    DriverDefaults,
    Enqueued,
    EnqueuedPartly,
    QueueCounts,
)
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import (
    CancelOutcome,
    Delivery,
    Lease,
    Message,
    OnConflict,
    OnParentFailure,
    Parent,
    ScheduledRun,
    State,
    Unique,
    UniqueUntil,
)
from asynctasq.records import record
from asynctasq.settlement import (
    ABOUT_BYTES,
    Cancelled,
    Complete,
    ErrorInfo,
    Fail,
    LeaseState,
    Reason,
    Release,
    Retry,
    Settled,
    Settlement,
)

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities.deaths import Death, SupportsDeaths
    from asynctasq.contracts.capabilities.dependencies import (
        Edge,
        Node,
        SupportsDependencies,
        WorkflowInfo,
    )
    from asynctasq.contracts.capabilities.events import EventPage, SupportsEvents
    from asynctasq.contracts.capabilities.limits import LimitInfo, LimitRule, SupportsLimits
    from asynctasq.contracts.capabilities.metrics import MetricKey, MetricPoint, SupportsMetrics
    from asynctasq.contracts.capabilities.move import Changes, SupportsMove
    from asynctasq.contracts.capabilities.outbox import (
        OUTBOX_BOUND,
        REFUSED_AT_ONCE,
        Outbox,
        OutboxEntry,
        OutboxRow,
        OutboxState,
        Refusal,
        SupportsOutbox,
    )
    from asynctasq.contracts.capabilities.schedules import (
        Claim,
        Firing,
        Schedule,
        ScheduleChange,
        SupportsSchedules,
    )
    from asynctasq.contracts.capabilities.state import (
        Adopted,
        Ended,
        Mark,
        Note,
        NoteKind,
        SupportsState,
    )
    from asynctasq.contracts.capabilities.steps import SupportsSteps
    from asynctasq.contracts.capabilities.transactions import (
        Plan,
        Statement,
        SupportsTransactions,
        TransactionAdapter,
    )
    from asynctasq.contracts.executor import (
        AttemptResult,
        Call,
        Executor,
        Raised,
        Rejected,
        Returned,
        Snoozed,
        Wrapper,
    )
    from asynctasq.contracts.resolver import ExecutionScope, Explainer, Reference, Resolver
    from asynctasq.contracts.serializer import Refer, Serializer

__all__ = [
    "ABOUT_BYTES",
    "BYTES_AT_ONCE",
    "DEAD_LETTER_LIMIT",
    "DEAD_LETTER_TTL_SECONDS",
    "DEFAULT_LEASE_SECONDS",
    "DRIVER_API_VERSION",
    "EXACT_STORE",
    "FULL_STORE",
    "NEWS_KEPT",
    "OUTBOX_BOUND",
    "REFUSED_AT_ONCE",
    "SCANNED_AT_ONCE",
    "Adopted",
    "AttemptResult",
    "Call",
    "CancelOutcome",
    "Cancelled",
    "Capability",
    "Changes",
    "Claim",
    "Complete",
    "DeadLetter",
    "Death",
    "Delivery",
    "Driver",
    "DriverDefaults",
    "DriverError",
    "DriverUnavailable",
    "Edge",
    "Ended",
    "Enqueued",
    "EnqueuedPartly",
    "ErrorInfo",
    "EventPage",
    "ExecutionScope",
    "Executor",
    "Explainer",
    "Fail",
    "Firing",
    "Lease",
    "LeaseState",
    "LimitInfo",
    "LimitRule",
    "Mark",
    "Message",
    "MetricKey",
    "MetricPoint",
    "News",
    "Node",
    "Note",
    "NoteKind",
    "OnConflict",
    "OnParentFailure",
    "Outbox",
    "OutboxEntry",
    "OutboxRow",
    "OutboxState",
    "Outcome",
    "Page",
    "Parent",
    "Plan",
    "QueueCounts",
    "QueueInfo",
    "Raised",
    "Reason",
    "Refer",
    "Reference",
    "Refusal",
    "Rejected",
    "Release",
    "Resolver",
    "Retry",
    "Returned",
    "Schedule",
    "ScheduleChange",
    "ScheduledRun",
    "SchemaState",
    "Serializer",
    "Settled",
    "Settlement",
    "Snapshot",
    "Snoozed",
    "State",
    "Statement",
    "SupportsCancel",
    "SupportsDeadLetters",
    "SupportsDeaths",
    "SupportsDependencies",
    "SupportsEvents",
    "SupportsInspect",
    "SupportsLimits",
    "SupportsMetrics",
    "SupportsMove",
    "SupportsNews",
    "SupportsOutbox",
    "SupportsPause",
    "SupportsProgress",
    "SupportsPurge",
    "SupportsResults",
    "SupportsSchedules",
    "SupportsSchema",
    "SupportsState",
    "SupportsSteps",
    "SupportsTransactions",
    "SupportsWorkers",
    "TransactionAdapter",
    "Unique",
    "UniqueUntil",
    "WorkerInfo",
    "WorkflowInfo",
    "Wrapper",
    "check_capabilities",
    "record",
    "require",
]

_LAZY: Mapping[str, tuple[str, ...]] = {
    "capabilities.deaths": ("Death", "SupportsDeaths"),
    "capabilities.dependencies": ("Edge", "Node", "SupportsDependencies", "WorkflowInfo"),
    "capabilities.events": ("EventPage", "SupportsEvents"),
    "capabilities.limits": ("LimitInfo", "LimitRule", "SupportsLimits"),
    "capabilities.metrics": ("MetricKey", "MetricPoint", "SupportsMetrics"),
    "capabilities.move": ("Changes", "SupportsMove"),
    "capabilities.outbox": (
        "OUTBOX_BOUND",
        "REFUSED_AT_ONCE",
        "Outbox",
        "OutboxEntry",
        "OutboxRow",
        "OutboxState",
        "Refusal",
        "SupportsOutbox",
    ),
    "capabilities.schedules": (
        "Claim",
        "Firing",
        "Schedule",
        "ScheduleChange",
        "SupportsSchedules",
    ),
    "capabilities.state": ("Adopted", "Ended", "Mark", "Note", "NoteKind", "SupportsState"),
    "capabilities.steps": ("SupportsSteps",),
    "capabilities.transactions": (
        "Plan",
        "Statement",
        "SupportsTransactions",
        "TransactionAdapter",
    ),
    "executor": (
        "AttemptResult",
        "Call",
        "Executor",
        "Raised",
        "Rejected",
        "Returned",
        "Snoozed",
        "Wrapper",
    ),
    "resolver": ("ExecutionScope", "Explainer", "Reference", "Resolver"),
    "serializer": ("Refer", "Serializer"),
}
"""Modules that a driver in use does not need. They are imported when a name of theirs is first used."""


def __getattr__(name: str) -> Any:
    for module, names in _LAZY.items():
        if name in names:
            value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
