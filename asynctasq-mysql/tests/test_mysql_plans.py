"""What a statement costs does not depend on how many messages wait or have been run."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pymysql.cursors import Cursor

from asynctasq.message import new_id
from asynctasq_mysql.enqueueing import NOW
from asynctasq_mysql.hinting import BEGINNING, EVERYWHERE, condition
from asynctasq_mysql.statements import FILES, Fragment, Query, Value, json_of, json_rows, statements
from tests.servers.databases import mysql_connection, own_database

pytestmark = pytest.mark.sampled(3)

ROWS, FULL_ROWS = 20_000, 100_000
SQL = statements("asynctasq_")
LENGTH_OF_PLACE = "14"
"""Bytes of the state, the queue, the rank and the time in a key of the index."""
IDS = [new_id() for _ in range(100)]
STATEMENTS = [(file, name) for file in FILES for name in getattr(SQL, file)]
NOT_EXPLAINED = {"clock", "time", "now", "lock_keys", "add_mark", "add_owner", "record_worker"}
"""They set or read a variable, or add a row and read none."""
SCANNED = {
    "used_queues",
    "queues",
    "paused",
    "paused_queues",
    "deadlines",
    "watch_queues",
    "move_deadlines",
}
"""They read the queues, or the owners, of a namespace: a few rows."""
VALUES: dict[str, Value] = {
    "namespace": 1,
    "queue": 1,
    "queues": Fragment("1,2"),
    "names": Fragment("x'61',x'62'"),
    "numbers": Fragment("1,2"),
    "owner": b"w",
    "owners": json_rows([(1,), (2,)]),
    "ids": json_of(IDS),
    "hashes": json_of(2 * one for one in IDS),
    "id": IDS[0],
    "rows": json_rows((one, 1, 1, b"x", 1) for one in IDS),
    "leases": json_rows((one, 1) for one in IDS),
    "places": json_rows([(1, bytes(32))]),
    "moves": json_rows((one, 1) for one in IDS),
    "reason": b"failed",
    "after": b"",
    "after_id": b"",
    "last": b"\xff",
    "tail": b"\xff\xff",
    "profile": b"p",
    "payload": b"p",
    "unique_hash": None,
    "expires": None,
    "description": b"d",
    "place": EVERYWHERE,
    "since": BEGINNING,
}


@pytest.fixture(scope="module", params=["never analysed", "analysed"])
def full_store(request: pytest.FixtureRequest, server_url: str) -> Iterator[Cursor]:
    """Yield a cursor on a database with many messages in each state."""
    rows = FULL_ROWS if request.config.getoption("full") else ROWS
    with own_database(server_url) as url, mysql_connection(url) as client:
        cursor = client.cursor()
        for text in SQL.schema.values():
            cursor.execute(text)
        for table in ("messages", "unique_keys"):
            cursor.execute(f"ALTER TABLE asynctasq_{table} STATS_AUTO_RECALC = 0")
        cursor.execute("INSERT INTO asynctasq_queues (namespace, name) VALUES (1, 'a'), (1, 'b')")
        cursor.execute(
            "INSERT INTO asynctasq_owners (namespace, name, deadline) VALUES (1, 'w', 1)"
        )
        # A tenth in each of the states that wait or run, the rest in those that have ended.
        cursor.execute(
            "INSERT INTO asynctasq_messages (id, namespace, queue, state, priority_rank, alarm, alarm_at, sort_at,"
            " due_at, enqueued_at, result_ttl, max_lost, size, owner, profile, payload)"
            " SELECT UNHEX(MD5(seq)), 1, 1 + seq % 2, ELT(1 + seq % 10, 2, 3, 3, 3, 5, 6, 7, 7, 7, 8), seq % 10,"
            " ELT(1 + seq % 10, 2, NULL, NULL, 3, NULL, 6, 7, 7, 7, 7), 1, seq, seq, seq, 1, 3, 300,"
            f" IF(seq % 10 = 4, 1, 0), x'00', REPEAT('x', 300) FROM seq_1_to_{rows}"
        )
        cursor.execute(
            "INSERT INTO asynctasq_unique_keys (hash, namespace, holder, held, ends_at)"
            " SELECT UNHEX(SHA2(seq, 256)), 1, UNHEX(MD5(seq)), 3, seq FROM seq_1_to_10000"
        )
        cursor.execute(
            "INSERT INTO asynctasq_timetable (namespace, id, definition, rhythm, next_at, claimable_at, revision,"
            " paused, orphaned, seen_at) SELECT 1, MD5(seq), 'd', 'r', seq, seq, 1, 0, 0, seq FROM seq_1_to_10000"
        )
        if request.param == "analysed":
            cursor.execute(
                "ANALYZE TABLE asynctasq_messages, asynctasq_unique_keys, asynctasq_timetable"
            )
            cursor.fetchall()
        yield cursor


def text_of(file: str, name: str) -> str:
    query: Query = getattr(SQL, file)[name]
    values: dict[str, Any] = {each: VALUES.get(each, 1) for each in query.names}
    if file == "lease" and name == "lease":
        values |= {"ids": Fragment(",".join(f"x'{one.hex()}'" for one in IDS)), "owner": 1}
    if file == "lease" and name in ("claim", "renew_locked"):
        values["owner"] = 1
    return query(**values).replace(NOW, "1")


@pytest.mark.parametrize(("file", "name"), STATEMENTS)
def test_no_statement_passes_over_a_table_or_sorts_it(
    full_store: Cursor, file: str, name: str
) -> None:
    text = text_of(file, name)
    if name in NOT_EXPLAINED or text.startswith(("INSERT", "SET")):
        return  # it reads no table
    full_store.execute(f"EXPLAIN {text}")
    for row in full_store.fetchall():
        _, _, table, kind, *_, extra = row
        step = f"{file}.{name}: {row}"
        if table is None or re.match(r"named|ranks|counted|used|<", table) or name in SCANNED:
            continue
        assert kind not in ("ALL", "index"), step
        assert "filesort" not in (extra or ""), step
        assert "temporary" not in (extra or ""), step


def test_a_search_from_a_place_on_begins_there_and_keeps_the_order_of_the_index(
    full_store: Cursor,
) -> None:
    place = condition((4, ROWS // 2))
    text = SQL.lease["claim"](queue=1, place=place, limit=100, large=1)
    full_store.execute(f"EXPLAIN {text}")
    [(_, _, _, kind, _, index, length, *_, extra)] = full_store.fetchall()
    assert (kind, index, length) == ("range", "in_queue", LENGTH_OF_PLACE)
    assert "filesort" not in extra


def test_a_search_from_the_beginning_notices_the_end_of_its_queue(full_store: Cursor) -> None:
    text = SQL.lease["claim"](queue=1, place=EVERYWHERE, limit=100, large=1)
    full_store.execute(f"EXPLAIN {text}")
    [(_, _, _, kind, *_)] = full_store.fetchall()
    assert kind == "ref"
