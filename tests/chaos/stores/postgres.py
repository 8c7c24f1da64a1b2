"""PostgreSQL as the store of a storm."""

import os
import random
import signal
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import psycopg
from psycopg import sql

from asynctasq.contracts.driver import Driver
from asynctasq_postgres import PostgresDriver
from tests.chaos.faults.clocks import CLOCKS
from tests.chaos.faults.descriptors import DESCRIPTORS
from tests.chaos.faults.fault import PROCESSES, Fault, Lanes, Scene
from tests.chaos.faults.outages import ANSWERS, HANGS
from tests.chaos.faults.records import RECORDS
from tests.chaos.faults.servers import SERVER_CLOCK
from tests.chaos.faults.signals import SIGNALS
from tests.chaos.faults.starts import STARTS
from tests.chaos.stores.sql_faults import SQL_PARTIAL, SQL_STORE
from tests.chaos.stores.sql_server import DATABASE, PASSWORD, USER, Hold, SqlServerStore
from tests.chaos.stores.store import garbage
from tests.servers.postgres import PostgresServer

OPTIONS = (
    "deadlock_timeout=50ms",
    "recovery_init_sync_method=syncfs",  # a crash is repaired in less than a second
    "max_connections=120",
)
CODES = ("40P01", "40001", "55P03", "57014", "53100", "53200", "58030", "XX000")
"""Errors of statements: dead-lock, serialization, lock, cancel, disk full, memory, I/O, internal."""
PREPARE_FAULTS = """\
CREATE SCHEMA faults;
CREATE TABLE faults.plan AS SELECT 0.0::float AS rate, ''::text AS code, NULL::bigint AS until;
CREATE SEQUENCE faults.hits;
CREATE FUNCTION faults.fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    codes text[] := '{%s}';
    plan record;
    hit bigint;
BEGIN
    SELECT * INTO plan FROM faults.plan;
    IF session_user = '%s' AND random() < plan.rate THEN
        hit := nextval('faults.hits');
        IF plan.until IS NULL OR hit <= plan.until THEN
            RAISE EXCEPTION 'failed by the storm' USING
                ERRCODE = coalesce(nullif(plan.code, ''), codes[1 + hit %% array_length(codes, 1)]);
        END IF;
    END IF;
    RETURN NULL;
END $$;
"""
NUMBERS = (("attempt", -1), ("lost", -1), ("enqueued_at", -1), ("rank", 99), ("rank", -5))


async def _kill_backend(scene: Scene) -> None:
    """Kill one process of the server, which then ends all sessions and recovers."""
    store = cast("PostgresStore", scene.store)
    for pid in (await store.ask(store.sessions))[:1]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


BACKEND_KILLED = Fault("process of a session killed", _kill_backend)


class _PostgresHold(Hold):
    """A transaction on PostgreSQL."""

    def __init__(
        self, connection: "psycopg.Connection[Any]", messages: str, message: bytes
    ) -> None:
        self._connection = connection
        self._lock = f"SELECT 1 FROM {messages} WHERE id = %s FOR UPDATE".encode()
        self._connection.execute("BEGIN")
        self.lock(message)

    def lock(self, message: bytes) -> bool:
        try:
            self._connection.execute(self._lock, [uuid.UUID(bytes=message)])
        except psycopg.errors.DeadlockDetected:
            return False
        return True

    def end(self) -> None:
        self._connection.close()


class PostgresStore(SqlServerStore):
    """One server, with fsync."""

    kind = "postgres"
    failure_rate = 0.05
    unreachable = (psycopg.OperationalError, psycopg.InterfaceError)
    _server: PostgresServer

    @property
    def server(self) -> PostgresServer:
        return self._server

    @property
    def address(self) -> str:
        return self._url(self.proxy.address)

    @property
    def direct_address(self) -> str:
        return self._url(f"127.0.0.1:{self.server.port}")

    def _url(self, place: str) -> str:
        login = f"{USER}:{quote(PASSWORD, safe='')}"
        return f"postgresql://{login}@{place}/{DATABASE}?timeout=1.5"

    def make_server(self, folder: Path) -> PostgresServer:
        self._server = PostgresServer(folder, *OPTIONS)
        return self._server

    def make_driver(self, *, direct: bool = False, **settings: Any) -> Driver:
        return PostgresDriver(self.direct_address if direct else self.address, **settings)

    def faults(self) -> Lanes:
        clocks = CLOCKS if self.clock.problem else (*CLOCKS, SERVER_CLOCK)
        return {
            PROCESSES: [*SIGNALS, *STARTS, *DESCRIPTORS],
            "store": [HANGS, *SQL_STORE, BACKEND_KILLED, *clocks],
            "partial": [*SQL_PARTIAL, ANSWERS, RECORDS],
        }

    def prepare(self) -> None:
        create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        with self.server.connect() as connection:
            connection.execute(create.format(sql.Identifier(USER), sql.Literal(PASSWORD)))
            connection.execute(f"CREATE DATABASE {DATABASE} OWNER {USER}")

    def prepare_faults(self) -> None:
        self._do(PREPARE_FAULTS % (",".join(CODES), USER))
        for (table,) in self._do(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' "
            f"AND relowner = '{USER}'::regrole AND relname NOT LIKE '%meta%'"
        ):
            self._do(
                f"CREATE TRIGGER fail BEFORE INSERT OR UPDATE OR DELETE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION faults.fail()"
            )

    def _do(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self.server.connect(DATABASE) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def sessions(self) -> list[int]:
        rows = self._do(f"SELECT pid FROM pg_stat_activity WHERE usename = '{USER}'")
        return [pid for (pid,) in rows]

    def end_session(self, session: int) -> None:
        self._do("SELECT pg_terminate_backend(%s)", [session])

    def set_failures(self, rate: float, code: str = "", most: int | None = None) -> None:
        until = None if most is None else self.failures() + most
        self._do("UPDATE faults.plan SET rate = %s, code = %s, until = %s", [rate, code, until])

    def failures(self) -> int:
        [(last, called)] = self._do("SELECT last_value, is_called FROM faults.hits")
        return int(last) if called else 0

    def blocked_sessions(self) -> int:
        [(number,)] = self._do(
            "SELECT count(*) FROM pg_stat_activity "
            f"WHERE usename = '{USER}' AND wait_event_type = 'Lock'"
        )
        return int(number)

    def hold(self, message: bytes) -> Hold:
        return _PostgresHold(self.server.connect(DATABASE), self.table("messages"), message)

    @contextmanager
    def fully_occupied(self) -> Iterator[None]:
        self.set_room(0)
        try:
            yield
        finally:
            self.set_room(None)

    def dead_locks(self) -> int:
        return self.server.process.output().count("deadlock detected")

    def set_read_only(self, on: bool) -> None:
        value = "on" if on else "off"
        self.server.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        self.server.execute("SELECT pg_reload_conf()")

    def set_room(self, sessions: int | None) -> None:
        limit = -1 if sessions is None else sessions
        self._do(f"ALTER ROLE {USER} CONNECTION LIMIT {limit}")

    def set_statement_timeout(self, seconds: float) -> None:
        self._do(f"ALTER ROLE {USER} SET statement_timeout = {round(seconds * 1000)}")

    def newest_messages(self, limit: int) -> list[bytes]:
        messages = self.table("messages")
        rows = self._do(f"SELECT id FROM {messages} ORDER BY id DESC LIMIT {limit}")
        return [message.bytes for (message,) in rows]

    def overwrite(self, chance: random.Random) -> tuple[bytes, int, str, bool] | None:
        damages: list[tuple[str, object, str]] = [
            ("profile", garbage(chance, 20), "profile of random bytes"),
            ("profile", b"", "empty profile"),
            ("profile", b"\x97\xa1", "profile cut short"),
            ("payload", garbage(chance, 30), "body of random bytes"),
            ("payload", b"", "empty body"),
            *((column, number, "number out of range") for column, number in NUMBERS),
        ]
        column, value, how = chance.choice(damages)
        messages = self.table("messages")
        rows = self._do(
            f"UPDATE {messages} SET {column} = %s WHERE ctid = (SELECT ctid FROM {messages} "
            "WHERE state IN (2, 3, 5) ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED) "
            "RETURNING id, state",
            [value],
        )
        if not rows:
            return None
        [(message, state)] = rows
        return message.bytes, state, how, column in {"profile", "payload"}

    def insert_nonsense(self, chance: random.Random) -> None:
        values = [
            uuid.UUID(bytes=chance.randbytes(16)),
            chance.choice([2, 3, 3, 3]),
            chance.choice([0, 4, -5]),
            chance.choice([b"", chance.randbytes(20), b"\x97" + chance.randbytes(10)]),
            chance.choice([b"", chance.randbytes(10)]),
        ]
        self._do(
            f"INSERT INTO {self.table('messages')} (id, state, rank, profile, payload, namespace, "
            "queue, due_at, enqueued_at, result_ttl, max_lost) "
            "SELECT %s, %s, %s, %s, %s, namespace, key, 1, 1, 1, 3 "
            f"FROM {self.table('queues')} WHERE name = 'low'",
            values,
        )

    def count_leftovers(self) -> list[tuple[str, int]]:
        wanted = {
            "messages": "messages",
            "outcomes": "outcomes",
            "unique keys": "unique_keys",
            "workers": "workers",
            "owners of leases": "owners WHERE name <> 'upkeep'",
        }
        return [
            (name, self._do(f"SELECT count(*) FROM {self.table(rows)}")[0][0])
            for name, rows in wanted.items()
        ]

    def table(self, name: str) -> str:
        """Return the qualified name of a table."""
        return f"asynctasq.{name}"
