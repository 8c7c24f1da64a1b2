"""Checks that the flags of a driver and its methods agree."""

import importlib
from collections.abc import Mapping
from typing import TypeVar

from asynctasq.contracts.capabilities.cancel import SupportsCancel
from asynctasq.contracts.capabilities.dead_letters import SupportsDeadLetters
from asynctasq.contracts.capabilities.flags import Capability
from asynctasq.contracts.capabilities.inspection import SupportsInspect
from asynctasq.contracts.capabilities.news import SupportsNews
from asynctasq.contracts.capabilities.pause import SupportsPause
from asynctasq.contracts.capabilities.progress import SupportsProgress
from asynctasq.contracts.capabilities.purge import SupportsPurge
from asynctasq.contracts.capabilities.results import SupportsResults
from asynctasq.contracts.capabilities.schema import SupportsSchema
from asynctasq.contracts.capabilities.workers import SupportsWorkers
from asynctasq.errors import CapabilityMissing, PluginBroken

T = TypeVar("T")

PROTOCOLS: Mapping[Capability, type] = {
    Capability.RESULTS: SupportsResults,
    Capability.PROGRESS: SupportsProgress,
    Capability.CANCEL: SupportsCancel,
    Capability.PAUSE: SupportsPause,
    Capability.DEAD_LETTERS: SupportsDeadLetters,
    Capability.INSPECT: SupportsInspect,
    Capability.PURGE: SupportsPurge,
    Capability.WORKERS: SupportsWorkers,
    Capability.SCHEMA: SupportsSchema,
    Capability.NEWS: SupportsNews,
}
"""The protocol of each flag that has methods and that core uses."""

RESERVED: Mapping[Capability, str] = {
    Capability.DEPENDENCIES: "asynctasq.contracts.capabilities.dependencies:SupportsDependencies",
    Capability.LIMITS: "asynctasq.contracts.capabilities.limits:SupportsLimits",
    Capability.STEPS: "asynctasq.contracts.capabilities.steps:SupportsSteps",
}
"""Where the protocol of each reserved flag is. Imported only for drivers that set it."""

LAZY: Mapping[Capability, str] = {
    Capability.EVENTS: "asynctasq.contracts.capabilities.events:SupportsEvents",
    Capability.METRICS: "asynctasq.contracts.capabilities.metrics:SupportsMetrics",
    Capability.MOVE: "asynctasq.contracts.capabilities.move:SupportsMove",
    Capability.OUTBOX: "asynctasq.contracts.capabilities.outbox:SupportsOutbox",
    Capability.SCHEDULES: "asynctasq.contracts.capabilities.schedules:SupportsSchedules",
    Capability.STATE: "asynctasq.contracts.capabilities.state:SupportsState",
    Capability.TRANSACTIONS: "asynctasq.contracts.capabilities.transactions:SupportsTransactions",
    Capability.WORKER_REQUESTS: "asynctasq.contracts.capabilities.worker_requests:SupportsWorkerRequests",
}
"""The same for flags that core uses, and most drivers do not have."""

BROUGHT_BY_STATE = (
    Capability.UNIQUE
    | Capability.RESULTS
    | Capability.PROGRESS
    | Capability.CANCEL
    | Capability.PAUSE
    | Capability.DEAD_LETTERS
    | Capability.WORKERS
    | Capability.NEWS
    | Capability.SCHEDULES
    | Capability.METRICS
    | Capability.WORKER_REQUESTS
    | Capability.EVENTS
)
"""Capabilities that a state store adds to a queue."""


def protocol_of(capability: Capability) -> type | None:
    """Return the protocol of one flag; None for a flag that promises no methods."""
    path = LAZY.get(capability) or RESERVED.get(capability)
    if path is None:
        return PROTOCOLS.get(capability)
    module, _, name = path.partition(":")
    protocol: type = getattr(importlib.import_module(module), name)
    return protocol


def check_capabilities(driver: object, capabilities: Capability) -> None:
    """Check that the flags of a driver and its methods agree.

    Raises:
        PluginBroken: a flag is set whose methods are missing.
    """
    for flag in capabilities:
        protocol = protocol_of(flag)
        if protocol is not None and not isinstance(driver, protocol):
            missing = sorted(
                name
                for name in (*vars(protocol), *vars(protocol).get("__annotations__", ()))
                if not name.startswith("_") and not hasattr(driver, name)
            )
            raise PluginBroken(
                f"{type(driver).__qualname__} sets Capability.{flag.name} but has no method "
                f"{', '.join(missing)}. Write them, or remove the flag."
            )


def require(driver: object, capability: Capability, protocol: type[T], *, purpose: str) -> T:
    """Return the driver as `protocol`.

    Raises:
        CapabilityMissing: the driver does not have `capability`; the message names it, its
            purpose and the remedy.
    """
    if capability in getattr(driver, "capabilities", Capability.NONE) and isinstance(
        driver, protocol
    ):
        return driver
    raise CapabilityMissing(
        f"{purpose} needs the capability {capability.name}, which {name_of(driver)} does not have. "
        f"{remedy_for(driver, capability)}"
    )


def name_of(driver: object) -> str:
    """Return a driver as errors name it: its place, such as a URL with a masked password."""
    return getattr(driver, "description", "") or type(driver).__qualname__


def remedy_for(driver: object, capability: Capability) -> str:
    """Return what a user can do to get a capability that a driver lacks, as a sentence."""
    remedies: Mapping[Capability, str] = getattr(driver, "remedies", {})
    if capability in remedies:
        return remedies[capability]
    if capability in BROUGHT_BY_STATE and hasattr(driver, "reserve_and_deaths"):
        return "Set `state` to a full store beside the queue, such as redis or postgres."
    return "Use a driver that has it (`asynctasq plugins list --check` shows which)."
