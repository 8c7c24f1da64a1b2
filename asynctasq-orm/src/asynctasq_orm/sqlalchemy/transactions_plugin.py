"""Entry point `sqlalchemy` of the group `asynctasq.transactions`."""

from typing import Any

from asynctasq.contracts.capabilities.transactions import TransactionAdapter
from asynctasq.hookspecs import hookimpl


@hookimpl
def create_transaction_adapter(name: str, settings: Any) -> TransactionAdapter:
    """Create the adapter."""
    from asynctasq_orm.sqlalchemy.transactions import SqlalchemyAdapter

    return SqlalchemyAdapter()
