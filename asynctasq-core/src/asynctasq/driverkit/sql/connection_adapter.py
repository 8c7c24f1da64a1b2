"""The part that all adapters for plain connections of a client have in common."""

from typing import Any

from asynctasq.driverkit.sql.plans import wrong_transaction


class ConnectionAdapter:
    """Base of adapters whose transactions are connections of one client, which reports no commits.

    A subclass adds `run`, see `asynctasq.contracts.capabilities.TransactionAdapter`.
    """

    def __init__(
        self, dialect: str, *, is_async: bool = False, connection: Any = object, client: str = ""
    ) -> None:
        """Make an adapter.

        Args:
            dialect: of the database behind the connections.
            is_async: whether `run` returns an awaitable.
            connection: the class of the connections, or a tuple of classes. `unwrap` refuses other objects.
            client: the name of the client, for errors.
        """
        self._dialect = dialect
        self._is_async = is_async
        self._connection = connection
        self._client = client

    def unwrap(self, transaction: Any) -> Any:
        """Return the connection unchanged.

        Raises:
            TransactionError: the object is another one, such as a pool or a cursor.
        """
        if not isinstance(transaction, self._connection):
            raise wrong_transaction(f"a connection of {self._client}", transaction)
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
