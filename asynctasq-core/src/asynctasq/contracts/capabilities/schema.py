"""SCHEMA: tables that a release may change."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from asynctasq.records import record


@record
class SchemaState:
    """The version of the tables in a store, and the versions that this release can use."""

    current: int
    """The version in the store; 0 if there are no tables."""
    needed: int
    """The version that `migrate` leads to."""
    oldest: int = 1
    """The oldest version that this release can use, so that it can share a store with the release before."""


@runtime_checkable
class SupportsSchema(Protocol):
    """SCHEMA. A migration never drops a table that holds messages.

    Both methods work on a driver that is not open, too: `asynctasq migrate` calls them so, because `open` may refuse
    a store without its tables.
    """

    async def schema(self) -> SchemaState:
        """Return the versions."""
        ...

    async def migrate(self, *, dry_run: bool = False) -> Sequence[str]:
        """Bring the tables to the needed version; return the names of the steps taken, in order.

        With `dry_run`, change nothing and return the statements that a call without it would execute.
        Both are empty if the tables are at the needed version.
        """
        ...
