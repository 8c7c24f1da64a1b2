"""An application that dispatches in transactions of MySQLdb: `dispatching_with_mysqldb.py DRIVER`.

It is a separate process, because tests with Django install PyMySQL under the name MySQLdb. If MySQLdb is not
installed for this interpreter, that of the system's packages is used.
"""

import sys
from contextlib import closing
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import asynctasq
from asynctasq import task
from asynctasq.errors import TransactionError

PACKAGES_OF_THE_SYSTEM = "/usr/lib/python3/dist-packages"

sys.path.append(PACKAGES_OF_THE_SYSTEM)
MySQLdb: Any = import_module("MySQLdb")


@task(name="bill")
async def bill(number: int) -> None:
    """Stands for a task of the application."""


def dispatch(driver: str) -> None:
    """Dispatch in a transaction that is committed, in one that is rolled back, and in none; print what happened."""
    asynctasq.init({"driver": driver})
    parts = urlsplit(driver)
    address = {"host": parts.hostname, "port": parts.port, "user": parts.username}
    with closing(MySQLdb.connect(**address, database=parts.path.removeprefix("/"))) as connection:
        for number, end in ((1, connection.commit), (2, connection.rollback)):
            connection.begin()
            print(bill(number).dispatch_sync(transaction=connection))
            end()
        connection.autocommit(True)
        try:
            bill(3).dispatch_sync(transaction=connection)
        except TransactionError as error:
            print(error)


if __name__ == "__main__":
    dispatch(sys.argv[1])
