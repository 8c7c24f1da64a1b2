"""Insert rows that exist already, of so many bytes, a thousand in one transaction."""

import time

from benchmarks.programs.bare_loop import connect
from benchmarks.programs.protocol import answer, asked

CHUNK = 1_000


def main(path: str, *, tasks: int, row: int) -> None:
    connection = connect(path)
    connection.execute("CREATE TABLE rows (n INTEGER PRIMARY KEY, data BLOB NOT NULL)")
    warm = [(number, bytes(row)) for number in range(CHUNK)]
    rows = [(number, bytes(row)) for number in range(CHUNK, CHUNK + tasks)]
    cpu = wall = 0.0
    for first in range(-CHUNK, tasks, CHUNK):
        chunk = warm if first < 0 else rows[first : first + CHUNK]
        if first == 0:
            cpu, wall = time.process_time(), time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO rows VALUES (?, ?)", chunk)
        connection.execute("COMMIT")
    answer(cpu_seconds=time.process_time() - cpu, seconds=time.perf_counter() - wall)
    connection.close()


if __name__ == "__main__":
    main(**asked())
