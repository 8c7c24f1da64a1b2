"""The least cost of the same work on SQLite, without retries, leases or any other feature.

In one transaction: claim 100 rows, run 100 coroutines, delete the rows, insert 100 results.
"""

import asyncio
import sqlite3
import time

import uvloop

from benchmarks.programs.protocol import answer, asked

BATCH = 100
RESULT = b"\x00" * 8
CLAIM = """
    UPDATE tasks SET claimed = 1
    WHERE n IN (SELECT n FROM tasks WHERE claimed = 0 AND n >= ? ORDER BY n LIMIT ?)
    RETURNING n, body
"""


async def noop(number: int) -> int:
    return number


def connect(path: str) -> sqlite3.Connection:
    """With the settings of the driver that matter."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute("PRAGMA synchronous = full")
    connection.execute("PRAGMA cache_size = -8192")
    return connection


def fill(connection: sqlite3.Connection, tasks: int, body: int) -> None:
    connection.execute(
        "CREATE TABLE tasks (n INTEGER PRIMARY KEY, claimed INTEGER NOT NULL, body BLOB NOT NULL)"
    )
    connection.execute("CREATE TABLE results (n INTEGER PRIMARY KEY, result BLOB NOT NULL)")
    connection.execute("BEGIN")
    rows = ((number, bytes(body)) for number in range(tasks))
    connection.executemany("INSERT INTO tasks VALUES (?, 0, ?)", rows)
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def work(connection: sqlite3.Connection, batches: int, first: int = 0) -> int:
    done = 0
    for _ in range(batches):
        connection.execute("BEGIN IMMEDIATE")
        rows = connection.execute(CLAIM, (first, BATCH)).fetchall()
        await asyncio.gather(*(noop(n) for n, _ in rows))
        connection.executemany("DELETE FROM tasks WHERE n = ?", [(n,) for n, _ in rows])
        connection.executemany("INSERT INTO results VALUES (?, ?)", [(n, RESULT) for n, _ in rows])
        connection.execute("COMMIT")
        first = rows[-1][0] + 1
        done += len(rows)
    return done


async def main(path: str, *, tasks: int, warm: int, body: int) -> None:
    connection = connect(path)
    fill(connection, tasks + warm, body)
    await work(connection, warm // BATCH)
    cpu, wall = time.process_time(), time.perf_counter()
    done = await work(connection, tasks // BATCH, warm)
    answer(cpu_seconds=time.process_time() - cpu, seconds=time.perf_counter() - wall, done=done)
    connection.close()


if __name__ == "__main__":
    uvloop.run(main(**asked()))
