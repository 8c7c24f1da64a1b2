"""Entry points `sqlite3` and `aiosqlite` of the group `asynctasq.transactions`."""

from typing import Any

from asynctasq.contracts.capabilities.transactions import TransactionAdapter
from asynctasq.hookspecs import hookimpl


@hookimpl
def create_transaction_adapter(name: str, settings: Any) -> TransactionAdapter:
    """Create the adapter of a client."""
    if name == "sqlite3":
        from asynctasq.drivers.sqlite.adapters.blocking import SqliteAdapter

        return SqliteAdapter()
    from asynctasq.drivers.sqlite.adapters.asynchronous import AiosqliteAdapter

    return AiosqliteAdapter()
