"""No function searches a table from end to end, or sorts it, whatever the statistics say."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.contracts.capabilities.schedules import Firing, Schedule, ScheduleChange
from asynctasq.message import Message, State, Unique, new_id
from asynctasq.settlement import Complete, ErrorInfo, Fail, Reason, Release, Retry
from asynctasq_postgres import PostgresDriver
from tests.servers.postgres import PostgresServer, running_postgres

pytestmark = pytest.mark.sampled(2)

MESSAGES = 100_000
ERROR = ErrorInfo("shop.OutOfStock", "no more", "Traceback")
NAMESPACE = "plans"
KINDS = ("never analyzed", "empty", "analyzed")
READ = 15_000
"""Rows that a statement may read: pieces of the upkeep have 5,000 messages."""
SORTED = 1_000
SEARCHED = (
    "messages", "dead", "outcomes", "unique_keys", "owners", "queues", "workers", "schedules",
)  # fmt: skip
FILL = """
INSERT INTO asynctasq.messages (
    due_at, enqueued_at, result_ttl, id, namespace, queue, max_lost, state, rank, profile, payload, expires_at
)
SELECT n, n, 60000000, gen_random_uuid(), (SELECT key FROM asynctasq.namespaces),
    (SELECT key FROM asynctasq.queues WHERE name = 'q'), 3,
    CASE WHEN n % 10 = 0 THEN 2 ELSE 3 END, 4, profile, payload, NULL
FROM generate_series({now}, {now} + $1 - 1) AS n,
    (SELECT profile, payload FROM asynctasq.messages LIMIT 1) AS one;
"""
FILL_OTHERS = (
    (
        "INSERT INTO asynctasq.outcomes (forget_at, finished_at, id, namespace, state)"
        " SELECT {now} + 3600000000 + n, n, gen_random_uuid(), 1, 7 FROM generate_series(1, $1) AS n"
    ),
    (
        "INSERT INTO asynctasq.dead (due_at, enqueued_at, result_ttl, id, namespace, queue, max_lost, state, rank,"
        " profile, payload, died_at, reason) SELECT n, n, 1, gen_random_uuid(), 1, 1, 3, 6, 4, profile, payload,"
        " {now} + n, 'failed' FROM generate_series(1, $1) AS n,"
        " (SELECT profile, payload FROM asynctasq.messages LIMIT 1) AS one"
    ),
    (
        "INSERT INTO asynctasq.unique_keys (hash, namespace, holder, until, since)"
        " SELECT sha256(n::text::bytea), 1, gen_random_uuid(), 2, 1 FROM generate_series(1, $1) AS n"
    ),
    (
        "INSERT INTO asynctasq.schedules (next_at, claimable_at, revision, seen_at, namespace, id, rhythm, definition)"
        " SELECT {now} + 3600000000 + n, {now} + 3600000000 + n, 1, n, 1, n::text::bytea, 'r', 'd'"
        " FROM generate_series(1, $1) AS n"
    ),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the hardest case, and all cases with `--full`."""
    if "kind" in metafunc.fixturenames:
        is_full = metafunc.config.getoption("full")
        metafunc.parametrize("kind", KINDS if is_full else KINDS[:1])


@pytest.fixture(scope="module")
def explaining() -> Iterator[PostgresServer]:
    """Yield a server that writes the plan of each statement, also within functions, into its output."""
    with running_postgres(
        "session_preload_libraries=auto_explain",
        "auto_explain.log_min_duration=0",
        "auto_explain.log_nested_statements=on",
        "auto_explain.log_analyze=on",
        "auto_explain.log_timing=off",
        "log_line_prefix=#",
    ) as server:
        yield server


@asynccontextmanager
async def own_database_of(server: PostgresServer) -> AsyncIterator[str]:
    """Yield the URL of a database of its own."""
    name = f"plans_{uuid4().hex}"
    admin = await asyncpg.connect(server.url)
    await admin.execute(f"CREATE DATABASE {name}")
    try:
        yield server.url.replace("/postgres", f"/{name}")
    finally:
        await admin.execute(f"DROP DATABASE {name}")
        await admin.close()


async def _prepare(url: str, kind: str) -> None:
    driver = PostgresDriver(url, namespace=NAMESPACE)
    await driver.migrate()
    await driver.open()
    await driver.enqueue([Message(new_id(), "q", "t", b"body")])
    await driver.close()
    connection = await asyncpg.connect(url)
    for table in SEARCHED:
        await connection.execute(f"ALTER TABLE asynctasq.{table} SET (autovacuum_enabled = false)")
    if kind != "empty":
        await _fill(connection)
    if kind == "analyzed":
        await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def _fill(connection: Any) -> None:
    now = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    for statement in (FILL, *FILL_OTHERS):
        await connection.execute("/* FILL */" + statement.format(now=now), MESSAGES)


def _faults(output: str) -> list[str]:
    """Return the plans that read many rows of a table, or the wrong way."""
    plans = [
        each
        for each in output.split("\n#")
        if "  plan:" in each and "FILL" not in each and "surplus" not in each
    ]
    assert len(plans) > 100
    return [plan for plan in plans if _is_wrong(plan)]


def _is_wrong(plan: str) -> bool:
    if re.search(rf"Seq Scan on ({'|'.join(SEARCHED)})\b", plan):
        return True
    for line in plan.splitlines():
        read = re.search(r"actual rows=(\d+) loops=(\d+)", line)
        if read is not None:
            most = SORTED if "Sort " in line else READ
            if int(read[1]) * int(read[2]) > most:
                return True
        removed = re.search(r"Rows Removed by \w+(?: \w+)?: (\d+)", line)
        if removed is not None and int(removed[1]) > READ:
            return True
    return False


async def _work(driver: PostgresDriver, fill: Callable[[], Awaitable[None]] | None) -> None:
    """Call every method, twice where the tables fill up in between."""
    for _ in range(2 if fill else 1):
        await _call_all(driver)
        if fill is not None:
            await fill()
            fill = None


async def _call_all(driver: PostgresDriver) -> None:
    owner = uuid4().hex
    messages = [Message(new_id(), "q", "t", b"body", priority=9) for _ in range(20)]
    keyed = [
        Message(new_id(), "q", "t", b"", priority=9, unique=Unique(uuid4().hex)) for _ in range(3)
    ]
    await driver.enqueue(messages)
    await driver.enqueue(keyed)
    leases = [
        delivery.lease
        for delivery in await driver.reserve({"q": 20}, limit=20, owner=owner, lease=60.0)
    ]
    await driver.set_progress([(leases[0], b"half")])
    await driver.cancel([leases[1].id, keyed[0].id])
    await driver.cancel_requests(owner)
    await driver.extend(owner, leases, lease=60.0)
    await driver.settle([Complete(lease, b"result") for lease in leases[2:10]])
    await driver.settle(
        [
            Retry(leases[10], 5.0, ERROR),
            Release(leases[11]),
            Fail(leases[12], Reason.FAILED, ERROR),
            Fail(leases[13], Reason.FAILED, ERROR),
            Complete(leases[14]),
        ]
    )
    await driver.requeue([leases[12].id])
    await driver.delete_dead([leases[13].id])
    await driver.end_owner(owner)
    ids = [lease.id for lease in leases]
    await driver.find(ids)
    await driver.results(ids)
    await driver.known(ids)
    await driver.progress(ids)
    await driver.count("q", bound=1000)
    await driver.queues(bound=1000)
    for state in (State.READY, State.SCHEDULED, State.RUNNING, State.DEAD):
        for queue in (None, "q"):
            await driver.browse(state, queue=queue, limit=3)
    await driver.dead_letters(limit=3)
    for part in ("0000", ids[0].hex()[:9], ids[0].hex()[-9:]):
        page = await driver.match_ids(part, limit=3)
        while page.cursor is not None:
            page = await driver.match_ids(part, limit=3, cursor=page.cursor)
    await driver.wait(["q"], timeout=0.01)
    await driver.record_worker(WorkerInfo("w", "h", 1, 0.0, ("q",), 1, 0, "1"), ttl=60.0)
    await driver.workers()
    await _call_all_of_schedules(driver)
    driver.clock_offset += 1000.0
    for lease in (2e-6, 60.0):
        await driver.reserve({"none": 1}, limit=1, owner="other", lease=lease)
    driver.clock_offset -= 1000.0
    await driver.purge("q", states=[State.SCHEDULED])


async def _call_all_of_schedules(driver: PostgresDriver) -> None:
    names = [f"due {number}" for number in range(20)]
    made = [Schedule(name, b"definition", 1e9) for name in names]
    await driver.put_schedules(made)
    await driver.put_schedules([replace(each, definition=b"other") for each in made])
    claim = await driver.claim_schedules(limit=15, hold=60.0)
    messages = [Message(new_id(), "q", "t", b"body", priority=9) for _ in names]
    firings = [
        Firing(name, 2, 1e9, None, (each,)) for name, each in zip(names, messages, strict=True)
    ]
    await driver.fire([*firings, *firings])
    await driver.find_schedules(names)
    page = await driver.schedules(limit=3)
    await driver.schedules(limit=3, cursor=page.cursor)
    for change in ScheduleChange:
        await driver.change_schedules(names, change)
    assert len(claim.schedules) == 15


async def test_no_function_searches_a_table_from_end_to_end(
    kind: str, explaining: PostgresServer
) -> None:
    """With `empty`, the tables fill up after the session has made its plans."""
    async with own_database_of(explaining) as url:
        await _prepare(url, kind)
        admin = await asyncpg.connect(url)
        driver = PostgresDriver(url, namespace=NAMESPACE, max_connections=1, listen=False)
        await driver.open()
        before = len(explaining.process.output())
        await _work(driver, (lambda: _fill(admin)) if kind == "empty" else None)
        await driver.close()
        await admin.close()
    faults = _faults(explaining.process.output()[before:])
    assert faults == [], f"{len(faults)} plans, such as:\n{faults[0][:3000]}"
