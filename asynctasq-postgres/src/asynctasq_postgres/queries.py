"""SQL of the driver, from its files, with the names of the settings in it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files

from asynctasq.contracts.capabilities.schedules import FINISHED_KEPT_FOR, ORPHANED_AFTER
from asynctasq.contracts.capabilities.transactions import Statement
from asynctasq.driverkit.sql import read_queries, read_script
from asynctasq.driverkit.times import FOREVER, OUTCOME_TTL_LEAST, micros
from asynctasq.records import record

SET_ASIDE = 1 << 62
"""The `not_before` of rows of the outbox that are not tried again."""
LONGEST_HOLD = micros(3600.0)
"""Microseconds. A relay of the outbox that seems to hold a target for longer than this is ignored."""

_LISTED = {
    "rows": "",
    "rows_waiting": "AND not_before < {set_aside}",
    "rows_set_aside": "AND not_before >= {set_aside}",
}
"""The listings of the outbox, each with its condition. Each has an index, so the condition must not be a parameter."""
_NUMBERS = {
    "{outcome_ttl_least}": micros(OUTCOME_TTL_LEAST),
    "{finished_kept_for}": micros(FINISHED_KEPT_FOR),
    "{orphaned_after}": micros(ORPHANED_AFTER),
    "{forever}": FOREVER,
}
"""Numbers in the scripts, in microseconds."""
_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_FOLDER = files("asynctasq_postgres") / "sql"
_QUALIFIED = re.compile(r"\basynctasq\.(\w+)")
_INDEX = re.compile(r"\basynctasq_(\w+)")
_PARAMETER = re.compile(r"\$(\d+)")


@record
class Names:
    """The names of tables and functions, as settings say."""

    schema: str
    prefix: str

    def applied(self, sql: str) -> str:
        """Return SQL with these names in place of `asynctasq.`."""
        renamed = _QUALIFIED.sub(rf'"{self.schema}"."{self.prefix}\1"', sql)
        return _INDEX.sub(rf'"{self.prefix}\1"', renamed)


@lru_cache(64)
def calls(names: Names, synchronous_commit: str | None) -> Mapping[str, str]:
    """Return the statements that call functions, by name.

    Args:
        names: of the functions.
        synchronous_commit: for the calls after which messages must not be lost; None to leave it to the server.
    """
    durable = "" if synchronous_commit is None else _durability(synchronous_commit)
    joined, alone = (f"{durable} CROSS JOIN ", f"FROM {durable}") if durable else ("", "")
    return {
        name: names.applied(sql)
        .replace("/* durable */", joined)
        .replace("/* all durable */", alone)
        for name, sql in read_queries(_FOLDER, "calls").items()
    }


@lru_cache(16)
def outbox_queries(names: Names) -> Mapping[str, str]:
    """Return the statements of the outbox, by name."""
    read = dict(read_queries(_FOLDER, "outbox"))
    read |= {name: read["rows"].replace("{which}", which) for name, which in _LISTED.items()}
    return {name: _filled(names.applied(sql)) for name, sql in read.items()}


def _filled(sql: str) -> str:
    """Return a statement of the outbox with its numbers."""
    text = sql.replace("{now}", _NOW).replace("{set_aside}", str(SET_ASIDE))
    return text.replace("{longest_hold}", str(LONGEST_HOLD))


@lru_cache(16)
def metric_queries(names: Names) -> Mapping[str, str]:
    """Return the statements about counts, by name."""
    return {name: names.applied(sql) for name, sql in read_queries(_FOLDER, "metrics").items()}


@lru_cache(16)
def event_queries(names: Names) -> Mapping[str, str]:
    """Return the statements about events, by name."""
    return {name: names.applied(sql) for name, sql in read_queries(_FOLDER, "events").items()}


def _durability(level: str) -> str:
    return f"(SELECT set_config('synchronous_commit', '{level}', true)) AS durability"


def script(names: Names, name: str) -> Sequence[str]:
    """Return the statements of a file."""
    text = read_script(_FOLDER, name)
    for mark, number in _NUMBERS.items():
        text = text.replace(mark, str(number))
    return [names.applied(each) for each in _statements(text)]


def _statements(text: str) -> Iterator[str]:
    """Yield the statements of a script, which end with `;` at the end of a line, outside of `$$`."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        if not inside and (not line.strip() or line.startswith("--")):
            continue
        lines.append(line)
        inside ^= line.count("$$") % 2 == 1
        if not inside and re.sub(r"\s*--.*", "", line).endswith((";", "$$")):
            yield "\n".join(lines).removesuffix(";")
            lines = []


def statement(sql: str, parameters: Sequence[object]) -> Statement:
    """Return a call as the step of a plan. It may name a parameter several times."""
    pieces = _PARAMETER.split(sql)
    numbers = map(int, pieces[1::2])
    return Statement(tuple(pieces[::2]), tuple([parameters[n - 1] for n in numbers]))
