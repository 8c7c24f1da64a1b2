"""SQLite as the store of a storm."""

import asyncio
import random
import sqlite3
import time
from contextlib import closing

from asynctasq.drivers.sqlite import SqliteDriver
from tests.chaos.faults.clocks import CLOCKS
from tests.chaos.faults.descriptors import DESCRIPTORS
from tests.chaos.faults.fault import PROCESSES, Fault, Lanes, Scene
from tests.chaos.faults.outages import ANSWERS, HANGS
from tests.chaos.faults.records import RECORDS
from tests.chaos.faults.signals import SIGNALS
from tests.chaos.faults.starts import STARTS
from tests.chaos.inside.sqlite import STATEMENT_ABORTED
from tests.chaos.stores.store import Damage, Store, garbage

WAIT_SECONDS = 20.0
"""For a lock of the file: workers write all the time."""
WAITING = (2, 3)
"""Numbers of the states scheduled and ready."""
NUMBERS = ("attempt", "lost", "token", "enqueued_at", "due_at", "rank", "max_lost")
HOURS_LATER = 7200.0


async def _abort_statements(scene: Scene) -> None:
    await scene.inside(STATEMENT_ABORTED, 1.0, rate=0.05)


STATEMENTS = Fault(STATEMENT_ABORTED, _abort_statements, counted_inside=True)


class SqliteStore(Store):
    """One file."""

    kind = "sqlite"

    @property
    def address(self) -> str:
        return str(self.folder / "storm.db")

    def start(self) -> None:
        """Do nothing: the first driver creates the file."""

    def stop(self) -> None:
        """Do nothing: nothing runs."""

    def faults(self) -> Lanes:
        return {
            PROCESSES: [*SIGNALS, *STARTS, *DESCRIPTORS],
            "store": [HANGS, *CLOCKS],
            "partial": [STATEMENTS, ANSWERS, RECORDS],
        }

    async def hang(self, seconds: float) -> None:
        await asyncio.to_thread(self._hold, seconds)

    def _hold(self, seconds: float) -> None:
        """Keep the lock for writing, as another process may."""
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            connection.execute("ROLLBACK")

    async def damage(self, chance: random.Random) -> Damage | None:
        return await asyncio.to_thread(self._damage, chance)

    def _damage(self, chance: random.Random) -> Damage | None:
        column, value, how = chance.choice(
            [
                ("profile", garbage(chance, 20), "profile of random bytes"),
                ("profile", b"", "empty profile"),
                ("profile", b"\x97\xa1", "profile cut short"),
                ("profile", None, "no profile"),
                ("payload", garbage(chance, 30), "body of random bytes"),
                ("payload", b"", "empty body"),
                ("payload", "text", "body of another type"),
                *(
                    (number, value, "number of another type")
                    for number in NUMBERS
                    for value in ("x", b"")
                ),
            ]
        )
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            found = connection.execute(
                "SELECT n, id, state FROM messages WHERE state IN (2, 3, 5) ORDER BY random() LIMIT 1"
            ).fetchone()
            if found is None:
                connection.execute("ROLLBACK")
                return None
            number, message, state = found
            sql = f"UPDATE messages SET {column} = ? WHERE n = ?"
            connection.execute(sql, (value, number))
            connection.execute("COMMIT")
        must_die = state in WAITING and column not in NUMBERS
        return Damage(message.hex(), how, must_die=must_die)

    async def write_nonsense(self, chance: random.Random) -> None:
        await asyncio.to_thread(self._write_nonsense, chance)

    def _write_nonsense(self, chance: random.Random) -> None:
        values = {
            "id": chance.randbytes(chance.choice([16, 16, 3, 0])),
            "state": chance.choice([2, 3, 3, 3]),
            "rank": chance.choice([0, 4, -5]),
            "profile": chance.choice(
                [b"", None, chance.randbytes(20), b"\x97" + chance.randbytes(10)]
            ),
            "payload": chance.choice([b"", None, chance.randbytes(10)]),
        }
        with closing(self._connect()) as connection:
            connection.execute(
                "INSERT OR IGNORE INTO messages (id, namespace, queue, state, rank, due_at, "
                "enqueued_at, result_ttl, max_lost, leased_at, profile, payload) "
                "SELECT :id, namespace, key, :state, :rank, 1, 1, 1, 3, 0, :profile, :payload "
                "FROM queues WHERE name = 'low'",
                values,
            )

    async def calm(self) -> None:
        """Do nothing: no fault lasts."""

    async def leftovers(self) -> list[str]:
        """Look into the tables once the results have expired."""
        driver = SqliteDriver(self.address)
        await driver.open()
        try:
            for offset in (HOURS_LATER, HOURS_LATER * 2):
                driver.clock_offset = offset
                await driver.reserve({"nothing": 1}, limit=1, owner="upkeep", lease=0.1)
                await asyncio.sleep(0.1)  # the jump looks like an outage, which pauses the upkeep
                for _ in range(30):
                    await driver.reserve({"nothing": 1}, limit=1, owner="upkeep", lease=0.1)
        finally:
            await driver.close()
        queries = {
            "messages": "SELECT count(*) FROM messages",
            "unique keys": "SELECT count(*) FROM unique_keys",
            "workers": "SELECT count(*) FROM workers",
            "owners of leases": "SELECT count(*) FROM owners "
            "WHERE namespace != 0 AND name != 'upkeep'",
        }
        with closing(self._connect()) as connection:
            counts = {
                name: connection.execute(query).fetchone()[0] for name, query in queries.items()
            }
        return [f"{count} {name}" for name, count in counts.items() if count]

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.address, timeout=WAIT_SECONDS, isolation_level=None)
