"""The SQL of the driver, kept in whole files under `sql/`, and how values are written into it.

In the files `:name` is a value and `{name}` a table, the time of the server (`{now}`), or
a value of the row that an INSERT brings (`{new.name}`). Values are written into
the text, never passed as parameters: as numbers, as hexadecimal literals, or as JSON of both. So no value can
change the meaning of a statement, whatever the SQL mode of a session is.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TypeAlias

from asynctasq.driverkit.sql import read_queries

TABLES = (
    "meta", "namespaces", "queues", "messages", "owners", "unique_keys", "workers", "upkeep", "edges", "lanes",
    "limits", "ended", "steps", "brokered", "task_counts", "metric_sources", "recent_outcomes", "timetable",
    "worker_requests",
    "event_streams", "event_batches",
)  # fmt: skip
FILES = (
    "enqueue",
    "lease",
    "upkeep",
    "settle",
    "inspect",
    "id_search",
    "listings",
    "damage",
    "brokered",
    "metrics",
    "schedules",
    "events",
)

_FOLDER = files("asynctasq_mysql") / "sql"
_HOLE = re.compile(r":([a-z_]+)|\{now\}")
_NEW = re.compile(r"\{new\.([a-z_]+)\}")
"""A value of the row that an INSERT brings, which both kinds of servers write in their own way."""
_CLOCK = "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) + "


class Fragment(str):
    """A piece of SQL that is written into a statement as it is."""

    __slots__ = ()


Value: TypeAlias = int | bytes | Fragment | None


def literal(value: Value) -> str:
    """Return a value as SQL."""
    if isinstance(value, Fragment):
        return value
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return str(int(value))


def clock(offset: int) -> Fragment:
    """Return the time of the server in microseconds, as SQL."""
    return Fragment(f"{_CLOCK}{offset})")


def in_list(values: Iterable[int | bytes]) -> Fragment:
    """Return values as a list for IN; NULL, which equals nothing, if there are none."""
    return Fragment(",".join(map(literal, values)) or "NULL")


def value_rows(rows: Iterable[Sequence[Value]]) -> Fragment:
    """Return rows as a list for VALUES."""
    return Fragment(",\n".join([f"({','.join(map(literal, row))})" for row in rows]))


def json_of(values: Iterable[bytes]) -> Fragment:
    """Return values of bytes as a JSON array of hexadecimal texts."""
    inner = '","'.join([value.hex() for value in values])
    return Fragment(f"'[\"{inner}\"]'" if inner else "'[]'")


def json_rows(rows: Iterable[Sequence[int | bytes | None]]) -> Fragment:
    """Return rows as a JSON array of arrays."""
    return Fragment(f"'[{','.join(map(_json_row, rows))}]'")


def _json_row(row: Sequence[int | bytes | None]) -> str:
    return f"[{','.join(map(_json_value, row))}]"


def _json_value(value: int | bytes | None) -> str:
    if value is None:
        return "null"
    return f'"{value.hex()}"' if isinstance(value, bytes) else str(int(value))


class Query:
    """One statement of a file, with the names of its tables."""

    __slots__ = ("_parts",)

    def __init__(self, text: str) -> None:
        self._parts = _HOLE.split(text)
        """Text and names by turns; None is the time."""

    @property
    def names(self) -> frozenset[str]:
        """Names of the values."""
        return frozenset(name for name in self._parts[1::2] if name is not None)

    def __call__(self, offset: int = 0, /, **values: Value) -> str:
        """Return the statement with its values.

        Args:
            offset: microseconds that are added to the time of the server.
            values: by name.
        """
        parts = self._parts
        out = [parts[0]]
        for place in range(1, len(parts), 2):
            name = parts[place]
            out.append(f"{_CLOCK}{offset})" if name is None else literal(values[name]))
            out.append(parts[place + 1])
        return "".join(out)


Queries: TypeAlias = Mapping[str, Query]


class TableStatements:
    """The statements about some tables: their schema, and those of the file `store`."""

    def __init__(self, names: Mapping[str, str], *schemas: str, is_mariadb: bool) -> None:
        """Read the files.

        Args:
            names: the names in the database, by those in the files. One is that of `meta`.
            schemas: files with the statements that create the tables, one for each version.
            is_mariadb: True for MariaDB, False for MySQL.
        """
        self._is_mariadb = is_mariadb
        self._names = {table: f"`{name}`" for table, name in names.items()}
        self.versions = {
            schema: {
                name: self._named(text) for name, text in read_queries(_FOLDER, schema).items()
            }
            for schema in schemas
        }
        """The statements that create each table, by the file of their version."""
        self.schema = {name: text for each in self.versions.values() for name, text in each.items()}
        self.store = self.read("store")

    def read(self, file: str) -> Queries:
        """Return the statements of a file."""
        return {
            name: Query(self._named(text)) for name, text in read_queries(_FOLDER, file).items()
        }

    def _named(self, text: str) -> str:
        for table, name in self._names.items():
            text = text.replace(f"{{{table}}}", name)
        if self._is_mariadb:
            return _NEW.sub(r"VALUES(\1)", text.replace("{as_new}", ""))
        return _NEW.sub(r"new.\1", text.replace("{as_new}", "AS new"))

    @property
    def tables(self) -> list[bytes]:
        """The names of the tables in the database."""
        return [self.table(name) for name in self._names]

    def table(self, name: str) -> bytes:
        """Return the name of a table in the database."""
        return self._names[name].strip("`").encode()


class Statements(TableStatements):
    """The statements of all files of a queue, for tables with a prefix and a kind of server."""

    def __init__(self, prefix: str, *, is_mariadb: bool) -> None:
        names = {table: f"{prefix}{table}" for table in TABLES}
        schemas = ("schema_1", "schema_2", "schema_3", "schema_4", "schema_5", "schema_6")
        super().__init__(names, *schemas, is_mariadb=is_mariadb)
        (
            self.enqueue,
            self.lease,
            self.upkeep,
            self.settle,
            self.inspect,
            self.id_search,
            self.listings,
            self.damage,
            self.brokered,
            self.metrics,
            self.schedules,
            self.events,
        ) = map(self.read, FILES)


class OutboxStatements(TableStatements):
    """The statements of the outbox, for tables with a prefix."""

    def __init__(self, prefix: str) -> None:
        names = {"meta": "outbox_meta", "outbox": "outbox", "relays": "outbox_relays"}
        placed = {table: f"{prefix}{name}" for table, name in names.items()}
        super().__init__(placed, "outbox_1", is_mariadb=True)  # its files suit both
        self.outbox = self.read("outbox")


@lru_cache(maxsize=32)
def outbox_statements(prefix: str) -> OutboxStatements:
    """Return the statements of the outbox, for tables with a prefix."""
    return OutboxStatements(prefix)


@lru_cache(maxsize=32)
def statements(prefix: str, *, is_mariadb: bool = True) -> Statements:
    """Return the statements for tables with a prefix and a kind of server."""
    return Statements(prefix, is_mariadb=is_mariadb)
