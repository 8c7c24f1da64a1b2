"""Write `sqlite_schema_1.sql`: a queue file of schema 1 with messages in every state.

Run it with the release that made such files (revision 43cf731), not with this one:

    python tests/drivers/make_sqlite_schema_1.py > tests/drivers/sqlite_schema_1.sql
"""

import asyncio
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.message import Message, OnConflict, Unique, UniqueUntil
from asynctasq.settlement import Cancelled, Complete, ErrorInfo, Fail, Reason, Release, Retry

ERROR = ErrorInfo("shop.errors.OutOfStock", "no more", "Traceback")
YEARS = 1e9
"""Seconds."""


def a_message(number: int, task: str, queue: str = "emails", **fields: Any) -> Message:
    """Return a message whose ID ends in `number`."""
    fields = {"result_ttl": YEARS, **fields}
    message_id = bytes.fromhex("018f00000000700080000000") + number.to_bytes(4, "big")
    return Message(message_id, queue, task, f"body {number}".encode(), **fields)


async def fill(driver: SqliteDriver) -> None:
    """Enqueue messages and bring them into their states."""
    await driver.enqueue(
        [
            a_message(10, "lease.held"),
            a_message(11, "lease.flagged"),
            a_message(12, "lease.progress"),
            a_message(13, "end.completed"),
            a_message(14, "end.empty"),
            a_message(15, "end.cancelled"),
            a_message(16, "dead.failed"),
            a_message(17, "wait.retried"),
            a_message(18, "wait.mismatched"),
            a_message(19, "dead.lost", max_lost=0),
        ]
    )
    leases = {}
    for owner, most, lease in (("worker-1", 9, YEARS), ("worker-2", 1, 0.001)):
        for delivery in await driver.reserve(
            {"emails": most}, limit=most, owner=owner, lease=lease
        ):
            leases[delivery.message.id[-1]] = delivery.lease
    await driver.settle(
        [
            Complete(leases[13], b"result", YEARS),
            Complete(leases[14], None, YEARS),
            Fail(leases[16], Reason.FAILED, ERROR),
            Retry(leases[17], 0.0, ERROR),
            Release(leases[18], 0.0, mismatched=True),
            Cancelled(leases[15], YEARS),
        ]
    )
    await driver.cancel([a_message(11, "").id])
    await driver.set_progress([(leases[12], b"half")])
    await driver.enqueue([a_message(20, "dead.expired", expires=0.001)])
    await asyncio.sleep(0.01)
    await driver.reserve({"unused": 1}, limit=1, owner="worker-3", lease=YEARS)
    await driver.enqueue(
        [
            a_message(30, "wait.ready", priority=9, headers={"trace": "1"}),
            a_message(31, "wait.scheduled", delay=YEARS),
            a_message(32, "wait.scheduled", "reports", delay=YEARS / 2, priority=2),
            a_message(
                33, "wait.unique", unique=Unique("key", UniqueUntil.SETTLED, OnConflict.SKIP)
            ),
            a_message(34, "wait.period", unique=Unique("for", UniqueUntil.PERIOD, period=YEARS)),
            a_message(35, "wait.paused", "paused"),
            a_message(36, "wait.workflow", workflow=bytes(16), limits=("mail",), group="g"),
        ]
    )
    await driver.pause("paused")
    worker = WorkerInfo("worker-1", "host", 1, 1.0, ("emails",), 10, 3, "0.1.0")
    await driver.record_worker(worker, ttl=YEARS)


async def main() -> None:
    """Write the dump to standard output."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "queue.db"
        driver = SqliteDriver(path)
        await driver.open()
        await fill(driver)
        await driver.close()
        database = sqlite3.connect(path)
        for name in ("application_id", "user_version"):
            value = database.execute(f"PRAGMA {name}").fetchone()[0]
            sys.stdout.write(f"PRAGMA {name} = {value};\n")
        sys.stdout.writelines(f"{line}\n" for line in database.iterdump())
        database.close()


if __name__ == "__main__":
    asyncio.run(main())
