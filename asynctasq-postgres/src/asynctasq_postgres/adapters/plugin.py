"""Entry points `asyncpg` and `psycopg` of the group `asynctasq.transactions`."""

from typing import Any

from asynctasq.contracts.capabilities.transactions import TransactionAdapter
from asynctasq.hookspecs import hookimpl


@hookimpl
def create_transaction_adapter(name: str, settings: Any) -> TransactionAdapter:
    """Create the adapter of a client."""
    if name == "asyncpg":
        from asynctasq_postgres.adapters.asyncpg_connections import AsyncpgAdapter

        return AsyncpgAdapter()
    from asynctasq_postgres.adapters.psycopg_connections import PsycopgAdapter

    return PsycopgAdapter()
