"""A bare loop of asyncpg on the tables of the driver, with nothing that the driver promises.

One connection: claim a hundred rows, run a hundred coroutines, delete the rows and insert their outcomes. The rows,
indexes and outcomes are those of the driver, and each of the two statements is committed to the disk.
"""

import asyncio
import time

import asyncpg
import msgpack
import uvloop

from benchmarks.programs.protocol import answer, asked

BATCH = 100
CLAIM = """
    UPDATE asynctasq.messages SET state = 5
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM asynctasq.messages
        WHERE state = 3 AND lane IS NULL AND queue = $1
        ORDER BY rank, due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, payload
"""
SETTLE = """
    WITH gone AS (
        DELETE FROM asynctasq.messages AS m USING unnest($1::uuid[], $2::bytea[]) AS done (id, result)
        WHERE m.id = done.id AND m.namespace = $3
        RETURNING m.id, m.namespace, done.result
    )
    INSERT INTO asynctasq.outcomes (forget_at, finished_at, id, namespace, state, result)
    SELECT $4, $4, id, namespace, 7, result FROM gone
"""
QUEUE = "SELECT key, namespace FROM asynctasq.queues WHERE name = 'default'"


async def noop(number: int) -> int:
    return number


async def main(way: str, url: str) -> None:
    connection = await asyncpg.connect(url)
    queue, namespace = await connection.fetchrow(QUEUE)
    claim, settle = await connection.prepare(CLAIM), await connection.prepare(SETTLE)
    cpu, wall = time.process_time(), time.perf_counter()
    done = 0
    while rows := await claim.fetch(queue, BATCH):
        results = await asyncio.gather(*(noop(len(row["payload"])) for row in rows))
        packed = [msgpack.packb(result) for result in results]
        forget_at = int((time.time() + 3600) * 1e6)
        await settle.fetch([row["id"] for row in rows], packed, namespace, forget_at)
        done += len(rows)
    answer(cpu_seconds=time.process_time() - cpu, seconds=time.perf_counter() - wall, done=done)
    await connection.close()


if __name__ == "__main__":
    uvloop.run(main(**asked()))
