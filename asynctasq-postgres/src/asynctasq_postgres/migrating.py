"""The tables of the database: their version, and the steps to the version that this release needs."""

from collections.abc import Awaitable, Callable, Sequence

from asyncpg import InsufficientPrivilegeError

from asynctasq.contracts.capabilities import SchemaState
from asynctasq.driverkit.sql import Step, pending_steps
from asynctasq.errors import DriverError
from asynctasq.records import record
from asynctasq_postgres.connections import Connection
from asynctasq_postgres.queries import Names, script

STEPS = (
    (
        "create the tables and functions",
        ("schema_1", "enqueue_1", "enqueue_one_1", "enqueue_and_wake_1", "upkeep_1", "lease_1", "settle_1", "inspect_1",
         "listing_1", "id_search_1", "manage_1"),
    ),
    ("add the state of messages that a broker holds", ("brokered_2",)),
    ("keep counts of workers", ("metrics_3",)),
    ("keep schedules", ("schedules_4",)),
    ("keep requests about workers", ("worker_requests_5",)),
    ("pass events on to listeners", ("events_6",)),
)  # fmt: skip
"""Names of the steps, each with its files. A step is never changed once it was released."""
OLDEST = 1
"""The oldest version that this release can use."""
LOCK_SECONDS = 5
"""For which a step waits for other transactions. All calls that come after it wait meanwhile."""
_READ = "SELECT version, usable_from, store::text FROM asynctasq.meta"
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('asynctasq migrate'), hashtext($1))"


@record
class Tables:
    """Notes in the database about its tables."""

    version: int
    """0 if there are none."""
    usable_from: int = 1
    """The version that a release must know to use them."""
    store: str = ""
    """ID of the database, which a copy shares."""


def steps(names: Names) -> list[Step]:
    """Return all steps that this release knows."""
    return [
        Step(name, [each for file in files for each in script(names, file)])
        for name, files in STEPS
    ]


async def read_tables(connection: Connection, names: Names) -> Tables:
    """Return the state of the tables."""
    meta = names.applied("asynctasq.meta")
    if await connection.fetchval("SELECT to_regclass($1::text)::text", meta) is None:
        return Tables(0)
    row = await connection.fetchrow(names.applied(_READ))
    return Tables(0) if row is None else Tables(*row)


def schema_state(tables: Tables) -> SchemaState:
    """Return the versions of the tables as the contract has them."""
    return SchemaState(tables.version, len(STEPS), OLDEST)


def check_usable(tables: Tables, place: str) -> None:
    """Refuse tables that this release cannot use.

    Raises:
        DriverError: the message says what to do.
    """
    if tables.version == 0:
        raise DriverError(
            f"The PostgreSQL at {place} must have the tables of asynctasq, got none. Run `asynctasq migrate` "
            f"once, before you start applications and workers."
        )
    if tables.version < OLDEST:
        raise DriverError(
            f"The PostgreSQL at {place} must have tables of version {OLDEST} or later, got version "
            f"{tables.version}. Run `asynctasq migrate`."
        )
    _pending(tables, [], place)


def _pending(tables: Tables, known: Sequence[Step], place: str) -> Sequence[Step]:
    return pending_steps(
        known or [Step(name, ()) for name, _ in STEPS],
        tables.version,
        store=f"The PostgreSQL at {place}",
        usable_from=tables.usable_from,
    )


async def planned_statements(connection: Connection, names: Names, place: str) -> list[str]:
    """Return the statements that `migrate` would execute."""
    pending = _pending(await read_tables(connection, names), steps(names), place)
    return await planned(connection, names, pending)


async def migrate(connection: Connection, names: Names, place: str) -> list[str]:
    """Take the steps that are missing, and return their names."""
    known = steps(names)

    async def pending() -> Sequence[Step]:
        return _pending(await read_tables(connection, names), known, place)

    return await take_steps(connection, names, pending)


async def planned(connection: Connection, names: Names, pending: Sequence[Step]) -> list[str]:
    """Return the statements of steps, and those before them."""
    found = [statement for step in pending for statement in step.statements]
    return await _schema_statements(connection, names) + found if found else []


async def take_steps(
    connection: Connection, names: Names, pending: Callable[[], Awaitable[Sequence[Step]]]
) -> list[str]:
    """Take steps, each in a separate transaction, under a lock; return their names.

    Args:
        connection: without an open transaction.
        names: of the tables.
        pending: returns the steps that are still missing.
    """
    taken: list[str] = []
    while True:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            await connection.fetchval(_LOCK, f"{names.schema}.{names.prefix}")
            missing = await pending()
            if not missing:
                return taken
            try:
                for statement in await _schema_statements(connection, names):
                    await connection.execute(statement)
                for statement in missing[0].statements:
                    await connection.execute(statement)
            except InsufficientPrivilegeError as error:
                raise _refused(error, names) from error
        taken.append(missing[0].name)


def _refused(error: InsufficientPrivilegeError, names: Names) -> DriverError:
    return DriverError(
        f"The user who migrates must own the schema {names.schema} and its tables, or have the right CREATE on the "
        f"database if there is no such schema ({error}). As an administrator, run "
        f'`CREATE SCHEMA "{names.schema}" AUTHORIZATION user`, or migrate as another user.'
    )


async def _schema_statements(connection: Connection, names: Names) -> list[str]:
    """Return the statement that creates the schema; none if it exists. Creating one needs rights of its own."""
    is_there = await connection.fetchval(
        "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1::text)", names.schema
    )
    return [] if is_there else [f'CREATE SCHEMA "{names.schema}"']
