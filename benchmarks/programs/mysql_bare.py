"""A bare loop of aiomysql on the table of the driver, with nothing that the driver promises.

One connection: claim a hundred rows, run a hundred coroutines, delete the rows and insert their outcomes into a
table of their own. The rows and indexes are those of the driver, and each of the two transactions is committed to
the disk.
"""

import asyncio
import importlib
import time
from typing import Any
from urllib.parse import urlsplit

import msgpack
import uvloop

from benchmarks.programs.protocol import answer, asked

BATCH = 100
OUTCOMES = """
    CREATE TABLE bare_outcomes (
        id BINARY(16) NOT NULL PRIMARY KEY, forget_at BIGINT NOT NULL, finished_at BIGINT NOT NULL,
        state TINYINT NOT NULL, result LONGBLOB NULL, KEY by_end (forget_at)
    ) ENGINE = InnoDB
"""
CLAIM = """
    START TRANSACTION;
    SELECT id, payload FROM asynctasq_messages FORCE INDEX (in_queue)
    WHERE state = 3 AND queue = {queue} ORDER BY priority_rank, sort_at, id LIMIT {batch} FOR UPDATE SKIP LOCKED
"""
MARK = """
    UPDATE asynctasq_messages SET state = 5 WHERE id IN ({ids}) AND namespace = {namespace};
    COMMIT
"""
SETTLE = """
    START TRANSACTION;
    DELETE FROM asynctasq_messages WHERE id IN ({ids}) AND namespace = {namespace};
    INSERT INTO bare_outcomes (id, forget_at, finished_at, state, result) VALUES {outcomes};
    COMMIT
"""


async def noop(number: int) -> int:
    return number


async def execute(cursor: Any, statements: str) -> list[Any]:
    """Run statements in one round trip; return the rows of the one that has some."""
    rows: list[Any] = []
    await cursor.execute(statements)
    while True:
        rows += await cursor.fetchall() or ()
        if not await cursor.nextset():
            return rows


async def main(way: str, url: str) -> None:
    parts = urlsplit(url)
    client: Any = importlib.import_module("aiomysql")  # it has no annotations
    connection = await client.connect(
        host=parts.hostname,
        port=parts.port,
        user=parts.username,
        db=parts.path[1:],
        autocommit=True,
    )
    cursor = await connection.cursor()
    await cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    await cursor.execute(OUTCOMES)
    [[queue, namespace]] = await execute(
        cursor, "SELECT n, namespace FROM asynctasq_queues WHERE name = 'default'"
    )
    claim = CLAIM.format(queue=queue, batch=BATCH)
    cpu, wall = time.process_time(), time.perf_counter()
    done = 0
    while rows := await execute(cursor, claim):
        ids = [f"x'{key.hex()}'" for key, _ in rows]
        named = {"ids": ",".join(ids), "namespace": namespace}
        await execute(cursor, MARK.format(**named))
        results = await asyncio.gather(*(noop(len(payload)) for _, payload in rows))
        now = int(time.time() * 1e6)
        outcomes = ",".join(
            f"({key},{now + 3_600_000_000},{now},7,x'{msgpack.packb(result).hex()}')"
            for key, result in zip(ids, results, strict=True)
        )
        await execute(cursor, SETTLE.format(**named, outcomes=outcomes))
        done += len(rows)
    await cursor.execute("ROLLBACK")
    answer(cpu_seconds=time.process_time() - cpu, seconds=time.perf_counter() - wall, done=done)
    connection.close()


if __name__ == "__main__":
    uvloop.run(main(**asked()))
