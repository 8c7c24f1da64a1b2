"""Transactions of an application in a queue file, for the conformance suite."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

from asynctasq.conformance.harness import RunPlan
from asynctasq.contracts.capabilities.transactions import Plan
from asynctasq.contracts.driver import Driver
from asynctasq.drivers.sqlite.adapters.blocking import SqliteAdapter


@asynccontextmanager
async def transaction_in_file(driver: Driver) -> AsyncIterator[RunPlan]:
    """Begin a transaction with `sqlite3`."""
    with closing(sqlite3.connect(driver.description, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")

        async def run(plan: Plan[Any]) -> Any:
            return SqliteAdapter().run(connection, plan, None)

        yield run
        connection.execute("COMMIT")
