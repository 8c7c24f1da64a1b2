"""LIMITS (reserved): limits across workers."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from asynctasq.contracts.capabilities.paging import Page
from asynctasq.records import record


@record
class LimitRule:
    """A rule that entries of `Message.limits` name. It counts separately for each key."""

    name: str
    concurrency: int | None = None
    """Messages that may be leased at once."""
    interval: float | None = None
    """Seconds between two permits of a rate."""
    burst: int = 1


@record
class LimitInfo:
    """A limit at one moment."""

    rule: LimitRule
    """The rule in effect."""
    declared: LimitRule | None
    """The rule as the code declares it."""
    key: str | None
    in_use: int
    waiting: int
    """Messages that wait for a permit."""


@runtime_checkable
class SupportsLimits(Protocol):
    """LIMITS. A rule without a definition limits nothing."""

    async def declare_limits(self, rules: Sequence[LimitRule]) -> None:
        """Declare rules, as workers do at their start. Changes no rule that an operator has set."""
        ...

    async def set_limits(self, rules: Sequence[LimitRule]) -> None:
        """Set rules, as operators do."""
        ...

    async def reset_limits(self, names: Sequence[str]) -> None:
        """Return to the rules that were declared."""
        ...

    async def limits(
        self, names: Sequence[str] | None = None, *, limit: int = 100, cursor: str | None = None
    ) -> Page[LimitInfo]:
        """Return a page of limits, by rule and key."""
        ...
