"""The part that all adapters for plain connections of a client have in common."""

from typing import Any


class ConnectionAdapter:
    """Base of adapters whose transactions are connections of one client, which reports no commits.

    A subclass adds `run`, see `asynctasq.contracts.capabilities.TransactionAdapter`.
    """

    def __init__(self, dialect: str, *, is_async: bool = False) -> None:
        """Make an adapter.

        Args:
            dialect: of the database behind the connections.
            is_async: whether `run` returns an awaitable.
        """
        self._dialect = dialect
        self._is_async = is_async

    def unwrap(self, transaction: Any) -> Any:
        """Return the connection unchanged."""
        return transaction

    def is_async(self, transaction: Any) -> bool:  # noqa: ARG002  the signature of adapters
        """Return whether `run` returns an awaitable."""
        return self._is_async

    def dialect(self, transaction: Any) -> str:  # noqa: ARG002  the signature of adapters
        """Return the dialect of the database."""
        return self._dialect

    def sees_commit(self, transaction: Any) -> bool:  # noqa: ARG002  the signature of adapters
        """Return False."""
        return False
