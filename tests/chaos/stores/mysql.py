"""MariaDB as the store of a storm on the MySQL driver."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pymysql

from asynctasq.contracts.driver import Driver
from asynctasq_mysql import MySQLDriver
from tests.chaos.faults.clocks import CLOCKS
from tests.chaos.faults.descriptors import DESCRIPTORS
from tests.chaos.faults.fault import PROCESSES, Lanes
from tests.chaos.faults.outages import ANSWERS, HANGS
from tests.chaos.faults.records import RECORDS
from tests.chaos.faults.servers import SERVER_CLOCK
from tests.chaos.faults.signals import SIGNALS
from tests.chaos.faults.starts import STARTS
from tests.chaos.stores.sql_faults import SQL_PARTIAL, SQL_STORE
from tests.chaos.stores.sql_server import DATABASE, PASSWORD, USER, Hold, SqlServerStore
from tests.chaos.stores.store import garbage
from tests.servers.mariadb import MariadbServer

OPTIONS = ("--innodb-lock-wait-timeout=2",)
CODES = (1213, 1205, 1021, 1114, 1317, 1030, 1969, 1105)
"""Errors of statements: dead-lock, lock, disk full, table full, cancel, I/O, time, internal."""
TRIGGER = f"""\
CREATE TRIGGER {DATABASE}.fail_%(number)d BEFORE %(verb)s ON %(table)s FOR EACH ROW
BEGIN
    DECLARE failing double;
    DECLARE wanted int;
    DECLARE last bigint;
    DECLARE hit bigint;
    SELECT rate, code, until INTO failing, wanted, last FROM faults.plan;
    IF user() LIKE '{USER}@%%' AND rand() < failing THEN
        SET hit = nextval(faults.hits);
        IF last IS NULL OR hit <= last THEN
            SET wanted = coalesce(wanted, elt(1 + hit %% {len(CODES)}, {", ".join(map(str, CODES))}));
            SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = wanted, MESSAGE_TEXT = 'failed by the storm';
        END IF;
    END IF;
END
"""
NUMBERS = (
    ("attempt", -1),
    ("lost", -1),
    ("enqueued_at", -1),
    ("priority_rank", 99),
    ("priority_rank", -5),
    ("size", -1),
)
UNDONE = (1213, 1205)
"""Errors by which the server ends a transaction: a dead-lock, a lock time-out."""
FLUSH_SECONDS = 10
LEAST_CONNECTIONS = 10
"""The server allows no lower limit."""


class _MysqlHold(Hold):
    """A transaction on MariaDB."""

    def __init__(
        self, connection: "pymysql.Connection[Any]", messages: str, message: bytes
    ) -> None:
        self._connection = connection
        self._messages = messages
        self._connection.begin()
        self.lock(message)

    def lock(self, message: bytes) -> bool:
        lock = f"SELECT 1 FROM {self._messages} WHERE id = {literal(message)} FOR UPDATE"
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(lock)
        except pymysql.OperationalError as error:
            if error.args[0] not in UNDONE:
                raise
            return False
        return True

    def end(self) -> None:
        self._connection.close()


class MysqlStore(SqlServerStore):
    """One MariaDB server, with fsync."""

    kind = "mysql"
    failure_rate = 0.02
    unreachable = (pymysql.OperationalError, pymysql.InterfaceError, OSError)
    _server: MariadbServer

    @property
    def server(self) -> MariadbServer:
        return self._server

    @property
    def address(self) -> str:
        return self._url(self.proxy.address)

    @property
    def direct_address(self) -> str:
        return self._url(f"127.0.0.1:{self.server.port}")

    def _url(self, place: str) -> str:
        login = f"{USER}:{quote(PASSWORD, safe='')}"
        return f"mysql://{login}@{place}/{DATABASE}?timeout=1.5"

    def make_server(self, folder: Path) -> MariadbServer:
        self._server = MariadbServer(folder, *OPTIONS)
        return self._server

    def make_driver(self, *, direct: bool = False, **settings: Any) -> Driver:
        return MySQLDriver(self.direct_address if direct else self.address, **settings)

    def faults(self) -> Lanes:
        clocks = CLOCKS if self.clock.problem else (*CLOCKS, SERVER_CLOCK)
        return {
            PROCESSES: [*SIGNALS, *STARTS, *DESCRIPTORS],
            "store": [HANGS, *SQL_STORE, *clocks],
            "partial": [*SQL_PARTIAL, ANSWERS, RECORDS],
        }

    def prepare(self) -> None:
        self.server.execute(f"CREATE DATABASE {DATABASE}")
        self.server.execute(f"CREATE USER {USER}@'127.0.0.1' IDENTIFIED BY %s", PASSWORD)
        self.server.execute(f"GRANT ALL ON {DATABASE}.* TO {USER}@'127.0.0.1'")

    def prepare_faults(self) -> None:
        for statement in (
            "CREATE DATABASE faults",
            "CREATE TABLE faults.plan (rate double NOT NULL, code int, until bigint) ENGINE=InnoDB",
            "INSERT INTO faults.plan VALUES (0, NULL, NULL)",
            "CREATE SEQUENCE faults.hits NOCACHE",
        ):
            self.server.execute(statement)
        tables = self.server.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s "
            "AND table_name NOT LIKE '%%meta%%'",
            DATABASE,
        )
        verbs = ("INSERT", "UPDATE", "DELETE")
        for number, ((table,), verb) in enumerate(product(tables, verbs)):
            given = {"number": number, "verb": verb, "table": f"{DATABASE}.{table}"}
            self.server.execute(TRIGGER % given)

    def sessions(self) -> list[int]:
        rows = self.server.execute(
            "SELECT id FROM information_schema.processlist WHERE user = %s", USER
        )
        return [session for (session,) in rows]

    def end_session(self, session: int) -> None:
        with suppress(pymysql.OperationalError):  # it has ended by itself
            self.server.execute("KILL CONNECTION %s", session)

    def set_failures(self, rate: float, code: str = "", most: int | None = None) -> None:
        until = None if most is None else self.failures() + most
        statement = "UPDATE faults.plan SET rate = %s, code = %s, until = %s"
        self.server.execute(statement, rate, int(code) if code else None, until)

    def failures(self) -> int:
        [(following,)] = self.server.execute("SELECT next_not_cached_value FROM faults.hits")
        return int(following) - 1

    def blocked_sessions(self) -> int:
        [(number,)] = self.server.execute(
            "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
        )
        return int(number)

    def hold(self, message: bytes) -> Hold:
        return _MysqlHold(self.server.connect(), self.table("messages"), message)

    @contextmanager
    def fully_occupied(self) -> Iterator[None]:
        self.set_room(LEAST_CONNECTIONS)
        for session in self.sessions():
            self.end_session(session)
        with ExitStack() as stack:
            stack.callback(self.set_room, None)
            for _ in range(LEAST_CONNECTIONS):
                stack.enter_context(closing(self.server.connect(counted=True)))
            yield

    def dead_locks(self) -> int:
        [(_, number)] = self.server.execute("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")
        return int(number)

    def set_read_only(self, on: bool) -> None:
        self.server.execute(f"SET GLOBAL read_only = {int(on)}")

    def set_room(self, sessions: int | None) -> None:
        self.server.execute(
            f"SET GLOBAL max_connections = {max(sessions or 150, LEAST_CONNECTIONS)}"
        )

    def set_statement_timeout(self, seconds: float) -> None:
        self.server.execute(f"SET GLOBAL max_statement_time = {seconds}")
        if not seconds:
            self._read_triggers_again()

    def _read_triggers_again(self) -> None:
        """Let the server read triggers again: it keeps one as invalid if it was interrupted while it read it."""
        for session in self.sessions():
            self.end_session(session)
        self.server.execute(f"SET STATEMENT lock_wait_timeout = {FLUSH_SECONDS} FOR FLUSH TABLES")

    def newest_messages(self, limit: int) -> list[bytes]:
        messages = self.table("messages")
        rows = self.server.execute(f"SELECT id FROM {messages} ORDER BY id DESC LIMIT {limit}")
        return [message for (message,) in rows]

    def overwrite(self, chance: random.Random) -> tuple[bytes, int, str, bool] | None:
        damages: list[tuple[str, object, str]] = [
            ("profile", garbage(chance, 20), "profile of random bytes"),
            ("profile", b"", "empty profile"),
            ("profile", b"\x97\xa1", "profile cut short"),
            ("profile", None, "no profile"),
            ("payload", garbage(chance, 30), "body of random bytes"),
            ("payload", b"", "empty body"),
            ("payload", None, "no body"),
            *((column, number, "number out of range") for column, number in NUMBERS),
        ]
        column, value, how = chance.choice(damages)
        written = literal(value)
        messages = self.table("messages")
        with closing(self.server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(
                f"SELECT id FROM {messages} WHERE state IN (2, 3, 5) ORDER BY rand() LIMIT 1"
            )
            for (message,) in cursor.fetchall():
                connection.begin()
                where = f"id = {literal(message)} AND state IN (2, 3, 5)"
                cursor.execute(f"SELECT state FROM {messages} WHERE {where} FOR UPDATE")
                found = cursor.fetchone()
                cursor.execute(f"UPDATE {messages} SET {column} = {written} WHERE {where}")
                connection.commit()
                if found:
                    return message, found[0], how, column in {"profile", "payload"}
        return None

    def insert_nonsense(self, chance: random.Random) -> None:
        values = {
            "id": chance.randbytes(16),
            "state": chance.choice([2, 3, 3, 3]),
            "priority_rank": chance.choice([0, 4, -5]),
            "profile": chance.choice(
                [b"", None, chance.randbytes(20), b"\x97" + chance.randbytes(10)]
            ),
            "payload": chance.choice([b"", None, chance.randbytes(10)]),
            "size": chance.choice([0, -1, 10]),
        }
        numbers = ("sort_at", "due_at", "enqueued_at", "result_ttl", "max_lost")
        columns = (*values, *numbers)
        written = ", ".join([*map(literal, values.values()), *("1" for _ in numbers)])
        self.server.execute(
            f"INSERT INTO {self.table('messages')} (namespace, queue, {', '.join(columns)}) "
            f"SELECT namespace, n, {written} FROM {self.table('queues')} WHERE name = 'low'"
        )

    def count_leftovers(self) -> list[tuple[str, int]]:
        wanted = {
            "messages": "messages",
            "unique keys": "unique_keys",
            "workers": "workers",
            "owners of leases": "owners WHERE name <> 'upkeep'",
        }
        return [
            (name, self.server.execute(f"SELECT count(*) FROM {self.table(rows)}")[0][0])
            for name, rows in wanted.items()
        ]

    def table(self, name: str) -> str:
        """Return the qualified name of a table."""
        return f"{DATABASE}.asynctasq_{name}"


def literal(value: object) -> str:
    """Return a number, bytes or None as SQL."""
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return "NULL" if value is None else str(value)
