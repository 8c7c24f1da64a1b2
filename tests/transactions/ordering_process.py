"""An application that takes orders until it is killed: `ordering_process.py DRIVER KIND CLIENT PLACE TABLE`.

It prints the number of each order before the commit. Every third one is rolled back.
"""

import asyncio
import contextlib
import random
import sys
import time

from asynctasq import App, dispatch_many, task
from tests.transactions.clients import MYSQL, POSTGRES, SQLITE, RollBack

CLIENTS = {"sqlite": SQLITE, "postgres": POSTGRES, "mysql": MYSQL}


@task(name="confirm", max_attempts=1, result_ttl=600)
async def confirm(number: int) -> int:
    """Stands for the task of the test, which runs it."""
    return number


async def take_orders(driver: str, kind: str, name: str, place: str, table: str) -> None:
    """Take orders forever."""
    client = CLIENTS[kind][name](place)
    client.table = table
    number = time.time_ns() % 10**8 * 3  # differs from that of the process before
    async with App({"driver": driver}):
        while True:
            number += 1
            with contextlib.suppress(RollBack):
                async with client.transaction() as transaction:
                    await client.insert(transaction, number)
                    if random.random() < 0.5:
                        await dispatch_many([confirm(number)], transaction=transaction)
                    else:
                        await confirm(number).dispatch(transaction=transaction)
                    print(number, flush=True)
                    if number % 3 == 0:
                        raise RollBack


if __name__ == "__main__":
    asyncio.run(take_orders(*sys.argv[1:]))
