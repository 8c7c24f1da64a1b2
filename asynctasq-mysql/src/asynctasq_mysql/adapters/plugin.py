"""Entry points `aiomysql`, `asyncmy`, `pymysql` and `MySQLdb` of the group `asynctasq.transactions`."""

from typing import Any

from asynctasq.contracts.capabilities.transactions import TransactionAdapter
from asynctasq.hookspecs import hookimpl
from asynctasq_mysql.adapters.asynchronous import AsyncAdapter
from asynctasq_mysql.adapters.blocking import BlockingAdapter

ASYNC_CLIENTS = frozenset({"aiomysql", "asyncmy"})


@hookimpl
def create_transaction_adapter(name: str, settings: Any) -> TransactionAdapter:
    """Create the adapter of a client."""
    return AsyncAdapter(name) if name in ASYNC_CLIENTS else BlockingAdapter(name)
