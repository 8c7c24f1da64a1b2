"""The size of one waiting message in the driver's table, without its indexes."""

import sqlite3

import asynctasq
from benchmarks.programs.fill import fill
from benchmarks.programs.protocol import answer, asked

SAMPLE = 1_000


def stored(path: str) -> tuple[float, float]:
    """Return the mean size of a row, and of its body."""
    with sqlite3.connect(path) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(messages)")]
        try:
            [total] = connection.execute(
                "SELECT sum(payload) FROM dbstat WHERE name = 'messages' AND pagetype = 'leaf'"
            ).fetchone()
        except sqlite3.OperationalError:  # SQLite without dbstat: text and blobs, 3 bytes a number
            sizes = "+".join(
                f"CASE typeof({name}) WHEN 'integer' THEN 3 ELSE coalesce(length({name}), 0) END"
                for name in columns
            )
            [total] = connection.execute(f"SELECT sum({sizes}) FROM messages").fetchone()
        [body] = connection.execute("SELECT avg(length(payload)) FROM messages").fetchone()
    connection.close()
    return total / SAMPLE, body


if __name__ == "__main__":
    url = asked()["url"]
    asynctasq.run(fill(url, tasks=SAMPLE))
    row, body = stored(url.removeprefix("sqlite:///"))
    answer(row=row, body=body)
