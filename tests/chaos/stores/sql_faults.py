"""Faults that SQL servers have in common."""

import asyncio
import time
from typing import TYPE_CHECKING, cast

from tests.chaos.faults.connections import CONNECTIONS
from tests.chaos.faults.fault import PATIENCE_SECONDS, Fault, Scene
from tests.chaos.faults.servers import SERVER_KILLED

if TYPE_CHECKING:
    from tests.chaos.stores.sql_server import SqlServerStore

TERMINATIONS = 30
TERMINATION_SECONDS = 0.05
FAILURES = "statements failed at the server"


def _store(scene: Scene) -> "SqlServerStore":
    return cast("SqlServerStore", scene.store)


async def _terminate(scene: Scene) -> None:
    """End sessions at random, twenty a second."""
    store = _store(scene)
    for _ in range(TERMINATIONS):
        sessions = await store.ask(store.sessions)
        if sessions:
            session = scene.chance.choice(sessions)
            await store.ask(store.end_session, session)
        await asyncio.sleep(TERMINATION_SECONDS)


async def _terminate_all(scene: Scene) -> None:
    store = _store(scene)
    for session in await store.ask(store.sessions):
        await store.ask(store.end_session, session)


async def _exhaust(scene: Scene) -> None:
    """Leave the storm a few sessions, and end those that it has."""
    store = _store(scene)
    await store.ask(store.set_room, scene.chance.choice([1, 3, 10]))
    try:
        await _terminate_all(scene)
        await asyncio.sleep(scene.chance.uniform(0.3, 1.5))
    finally:
        await store.ask(store.set_room, None)


async def _refuse_writes(scene: Scene) -> None:
    store = _store(scene)
    await store.ask(store.set_read_only, True)
    try:
        await asyncio.sleep(scene.chance.uniform(0.2, 1.0))
    finally:
        await store.ask(store.set_read_only, False)


async def _fail_statements(scene: Scene) -> None:
    store = _store(scene)
    before = await store.ask(store.failures)
    await store.ask(store.set_failures, store.failure_rate)
    try:
        await asyncio.sleep(1.0)
        if await store.ask(store.failures) == before:  # the storm writes little
            await store.ask(store.set_failures, 1.0, most=1)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while await store.ask(store.failures) == before and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
    finally:
        await store.ask(store.set_failures, 0.0)
    scene.report.faults[FAILURES] += await store.ask(store.failures) - before


async def _limit_statements(scene: Scene) -> None:
    """Give every statement of new sessions a millisecond."""
    store = _store(scene)
    await store.ask(store.set_statement_timeout, 0.001)
    try:
        await _terminate_all(scene)
        await asyncio.sleep(scene.chance.uniform(0.2, 0.8))
    finally:
        await store.ask(store.set_statement_timeout, 0.0)
        await _terminate_all(scene)


async def _lock_rows(scene: Scene) -> None:
    """Lock messages in an order contrary to that of the driver, so that dead-locks come about."""
    store = _store(scene)
    before = await store.ask(store.dead_locks)
    for _ in range(3):
        seconds = scene.chance.uniform(0.1, 0.5)
        await store.ask(store.lock_rows, scene.chance, seconds)
    scene.report.remarks["dead-locks with a rival"] += await store.ask(store.dead_locks) - before


SQL_STORE = (
    SERVER_KILLED,
    *CONNECTIONS,
    Fault("sessions terminated", _terminate),
    Fault("connections exhausted", _exhaust),
    Fault("writes refused", _refuse_writes),
)
SQL_PARTIAL = (
    Fault(FAILURES, _fail_statements, counted_inside=True),
    Fault("statements timed out", _limit_statements),
    Fault("rows locked by a rival", _lock_rows),
)
