"""RESULTS: how messages ended."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from asynctasq.message import State
from asynctasq.records import record
from asynctasq.settlement import ErrorInfo, Reason


@record
class Outcome:
    """How a message ended."""

    id: bytes
    state: State
    """COMPLETED, CANCELLED or DEAD."""
    finished_at: float
    """Seconds since the Unix epoch, by the store's clock."""
    result: bytes | None = None
    reason: Reason | None = None
    """The reason of a dead message."""
    error: ErrorInfo | None = None
    about: bytes = b""
    """The `about` of the settlement that ended it, unchanged; empty if no settlement did."""


@runtime_checkable
class SupportsResults(Protocol):
    """RESULTS. A store keeps an outcome for the `result_ttl` of its settlement, a dead letter for longer."""

    async def results(self, ids: Sequence[bytes]) -> list[Outcome | None]:
        """Return the outcomes in order; None for a message that has not ended or is not known.

        Loads no more than `BYTES_AT_ONCE` bytes of results, or one larger result, in one step.
        """
        ...

    async def known(self, ids: Sequence[bytes]) -> list[bool]:
        """Return, for each id, whether the message waits, runs or is dead. Loads no messages.

        An ended message whose outcome is still kept may be reported either way: core calls this only for
        ids that have no outcome, and looks for the outcome again.
        """
        ...

    async def wait_results(self, ids: Sequence[bytes], *, timeout: float) -> None:
        """Return when one of `ids` may have ended, or after `timeout` seconds.

        A hint: it may return early. May be cancelled.
        """
        ...
