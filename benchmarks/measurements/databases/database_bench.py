"""A database server, and programs that work on new databases of it."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from types import MappingProxyType

from benchmarks.harness.bench import Bench
from benchmarks.harness.databases import Database, mariadb, postgres
from benchmarks.harness.side_by_side import OURS, SideBySide

PGQUEUER, GYLO, PROCRASTINATE, SAQ = (
    "pgqueuer_tasks", "gylo_tasks", "procrastinate_tasks", "saq_tasks"
)  # fmt: skip
RUN = "run"
"""The database that is measured."""


class DatabaseBench(SideBySide):
    """One server, on which each program begins with a new database."""

    bare: str
    """The program with the bare loop."""
    messages: str
    """The name of our table of messages."""

    def __init__(self, bench: Bench, server: Database) -> None:
        super().__init__(bench)
        self._server = server
        self.database = server.named(RUN)

    @property
    def url(self) -> str:
        """The URL of the database that is measured."""
        return self.database.url

    def server_seconds(self) -> float:
        """Return the processor time of the server so far."""
        return self._server.server_seconds()

    @abstractmethod
    def fresh(self, name: str = OURS, *, database: str = RUN) -> Database:
        """Replace a database by one that has the empty tables of a program."""

    @abstractmethod
    def analyze(self) -> None:
        """Bring the statistics of the planner up to date."""

    @abstractmethod
    def transactions(self) -> float:
        """Return how many transactions the server has executed so far."""

    @abstractmethod
    def left(self) -> int:
        """Return how many messages of the measured queue have no outcome."""

    @abstractmethod
    def add_outcomes(self, database: Database, number: int) -> None:
        """Add outcomes of tasks to a database, which has messages already."""

    @contextmanager
    def open_snapshot(self) -> Iterator[None]:
        """Keep a transaction open during the block that reads the tables as they are at its start."""
        with self.database.snapshot(self.messages):
            yield

    def fill(self, tasks: int) -> None:
        """Replace the database by one with messages of ours."""
        self.fresh()
        self.program(OURS, "bulk", tasks=tasks)


class PostgresBench(DatabaseBench):
    """PostgreSQL, with a database to copy for each program."""

    bare = "postgres_bare"
    packages: Mapping[str, tuple[str, ...]] = MappingProxyType({
        PGQUEUER: ("pgqueuer", "pgqueuer", "asyncpg", "uvloop"),
        GYLO: ("gylo", "gylo==0.1.0a1", "asyncpg", "uvloop"),
        PROCRASTINATE: ("procrastinate", "procrastinate", "psycopg[binary,pool]", "uvloop"),
        SAQ: ("saq_postgres", "saq[postgres]", "psycopg[binary,pool]", "typing-extensions", "uvloop"),
    })  # fmt: skip
    messages = "asynctasq.messages"

    def __init__(self, bench: Bench, server: Database) -> None:
        super().__init__(bench, server)
        self._templates: set[str] = set()

    def fresh(self, name: str = OURS, *, database: str = RUN) -> Database:
        """Replace a database by one that has the empty tables of a program."""
        template = f"template_{name}"
        if name not in self._templates:
            self._server.execute(f"CREATE DATABASE {template}")
            url = self._server.named(template).url
            self.bench.run(name, python=self.python(name), way="install", url=url)
            self._templates.add(name)
        self._server.execute(
            f"DROP DATABASE IF EXISTS {database} WITH (FORCE)",
            f"CREATE DATABASE {database} TEMPLATE {template}",
        )
        return self._server.named(database)

    def analyze(self) -> None:
        """Bring the statistics of the planner up to date."""
        self.database.execute("VACUUM ANALYZE")

    def is_analyzed(self) -> bool:
        """Return whether the table of messages has statistics."""
        rows = self.database.rows("SELECT 1 FROM pg_stats WHERE tablename = 'messages' LIMIT 1")
        return bool(rows)

    def transactions(self) -> float:
        """Return how many transactions of the measured database have ended."""
        [[number]] = self._server.rows(
            f"SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{RUN}'"
        )
        return float(number)

    @contextmanager
    def without_autovacuum(self) -> Iterator[None]:
        """Keep the server from vacuuming by itself during the block, as `transactions` counts that, too."""
        self._server.execute("ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")
        yield
        self._server.execute("ALTER SYSTEM RESET autovacuum", "SELECT pg_reload_conf()")

    def left(self) -> int:
        """Return how many messages of the measured queue have no outcome."""
        [[number]] = self.database.rows(
            "SELECT count(*) FROM asynctasq.messages AS m JOIN asynctasq.queues AS q ON q.key = m.queue "
            "WHERE q.name = 'default'"
        )
        return int(number)

    def add_outcomes(self, database: Database, number: int) -> None:
        """Add outcomes of tasks to a database, which has messages already."""
        database.execute(
            f"""
            INSERT INTO asynctasq.outcomes (forget_at, finished_at, id, namespace, state, result)
            SELECT at + 3600000000, at, gen_random_uuid(), space.key, 7, 'result'
            FROM generate_series(1, {number}) AS n, asynctasq.namespaces AS space,
                LATERAL (SELECT (extract(epoch FROM now()) * 1000000)::bigint + n) AS made (at)
            """,
            "VACUUM ANALYZE asynctasq.outcomes",
        )

    def versions(self) -> dict[str, str]:
        """Return the versions of the server and of our client."""
        [[text]] = self._server.rows("SHOW server_version")
        return {"PostgreSQL": str(text).split(" ", 1)[0], "asyncpg": version("asyncpg")}


class MySQLBench(DatabaseBench):
    """MariaDB or MySQL."""

    bare = "mysql_bare"
    packages: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    messages = "asynctasq_messages"

    def fresh(self, name: str = OURS, *, database: str = RUN) -> Database:
        """Replace a database by one that has the empty tables of a program."""
        self._server.execute(f"DROP DATABASE IF EXISTS {database}", f"CREATE DATABASE {database}")
        made = self._server.named(database)
        self.bench.run(name, python=self.python(name), way="install", url=made.url)
        return made

    def analyze(self) -> None:
        """Bring the statistics of the planner up to date."""
        self.database.execute(f"ANALYZE TABLE {self.messages}")

    def transactions(self) -> float:
        """Return how many round trips have looked for work, with or without a transaction."""
        [[number]] = self._server.rows(
            "SELECT COUNT(*) FROM mysql.general_log WHERE command_type = 'Query' "
            "AND argument LIKE '%FROM `asynctasq_queues`%paused%'"
        )
        return float(number)

    @contextmanager
    def query_log(self) -> Iterator[None]:
        """Let the server log each round trip during the block, for `transactions`."""
        self._server.execute("SET GLOBAL log_output = 'TABLE'", "SET GLOBAL general_log = 1")
        yield
        self._server.execute("SET GLOBAL general_log = 0", "TRUNCATE TABLE mysql.general_log")

    def status(self, name: str) -> float:
        """Return a status variable of the server."""
        [[_, number]] = self._server.rows(f"SHOW GLOBAL STATUS LIKE '{name}'")
        return float(number)

    def left(self) -> int:
        """Return how many messages of the measured queue have no outcome."""
        [[number]] = self.database.rows(
            f"SELECT COUNT(*) FROM {self.messages} AS m JOIN asynctasq_queues AS q ON q.n = m.queue "
            "WHERE q.name = 'default' AND m.state < 6"
        )
        return int(number)

    def add_outcomes(self, database: Database, number: int) -> None:
        """Add outcomes of tasks to a database, which has messages already."""
        columns = "namespace, queue, priority_rank, due_at, enqueued_at, result_ttl, max_lost"
        database.execute(
            f"""
            INSERT INTO {self.messages} (
                id, state, alarm, alarm_at, sort_at, finished_at, size, payload, {columns}
            )
            SELECT UNHEX(LPAD(HEX(n.seq), 32, '0')), 7, 7, some.due_at + 3600000000 + n.seq, some.due_at,
                some.due_at, 6, 'result', {columns}
            FROM seq_1_to_{number} AS n, (SELECT {columns} FROM {self.messages} LIMIT 1) AS some
            """,
            f"ANALYZE TABLE {self.messages}",
        )

    def versions(self) -> dict[str, str]:
        """Return the versions of the server and of our client."""
        [[text]] = self._server.rows("SELECT VERSION()")
        names = ("aiomysql", "PyMySQL")
        return {"MySQL server": str(text)} | {name: version(name) for name in names}


@contextmanager
def postgres_bench(bench: Bench) -> Iterator[PostgresBench]:
    """Start PostgreSQL for the measurement."""
    with postgres() as server:
        yield PostgresBench(bench, server)


@contextmanager
def mysql_bench(bench: Bench) -> Iterator[MySQLBench]:
    """Start MariaDB for the measurement."""
    with mariadb() as server:
        yield MySQLBench(bench, server)
