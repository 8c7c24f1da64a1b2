"""DEPENDENCIES (reserved): messages that wait for other messages."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from asynctasq.contracts.capabilities.paging import Page
from asynctasq.message import OnParentFailure, State
from asynctasq.records import record


@record
class WorkflowInfo:
    """A workflow at one moment. Kept until the results of its messages expire."""

    id: bytes
    counts: Mapping[State, int]
    """Messages by state, ended ones included."""
    cancelled: bool
    started_at: float
    ended_at: float | None = None


@record
class Node:
    """A message of a workflow."""

    id: bytes
    task: str
    state: State
    enqueued_at: float
    ended_at: float | None = None


@record
class Edge:
    """A parent of a message."""

    parent: bytes
    on_failure: OnParentFailure
    state: State | None
    """State of the parent; None if it is not known any more."""


@runtime_checkable
class SupportsDependencies(Protocol):
    """DEPENDENCIES. `enqueue` and `settle` do most of the work."""

    async def workflows(self, ids: Sequence[bytes]) -> list[WorkflowInfo | None]:
        """Return workflows; None where one is not known."""
        ...

    async def browse_workflow(
        self, workflow: bytes, *, state: State | None, limit: int, cursor: str | None
    ) -> Page[Node]:
        """Return a page of the messages of a workflow."""
        ...

    async def cancel_workflows(self, ids: Sequence[bytes]) -> list[bool]:
        """Cancel workflows: mark each at once, then cancel its waiting messages in bounded pieces."""
        ...

    async def parents_of(self, ids: Sequence[bytes]) -> list[Sequence[Edge]]:
        """Return the parents of messages, at most 1,000 of each."""
        ...
