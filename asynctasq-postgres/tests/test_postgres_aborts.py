"""An error at each statement that writes, inside of each function: nothing is lost or stranded.

Triggers on all tables count statements with a sequence, which no rollback sets back, and let one of them fail.
"""

import asyncio
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest

from asynctasq.conformance.aborts import OPERATIONS, Operation, check_aborts
from asynctasq.conformance.follow_ups import FOLLOW_UPS, check_follow_up
from asynctasq.contracts.driver import Driver
from asynctasq_postgres import PostgresDriver
from tests.servers.databases import own_database

pytestmark = pytest.mark.sampled(4)

NEVER = 1 << 30
QUICK = {"enqueue_replacing", "reserve_after_the_pause", "settle_every_kind"}
"""Operations that run without `--full`."""
STEP, PAIR_STEP = 5, 20
"""Steps without `--full`: between statements that fail, and between pairs of calls. A transaction that fails leaves
nothing that a further call could meet."""
TABLES = (
    "messages", "dead", "outcomes", "owners", "unique_keys", "workers", "upkeep", "queues", "namespaces",
    "schedules",
)  # fmt: skip
SABOTAGE = """
CREATE SEQUENCE statements MINVALUE 0 START 0;
CREATE TABLE sabotage (at bigint NOT NULL);
INSERT INTO sabotage VALUES (1 << 30);
CREATE FUNCTION sabotaged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('public.statements') = (SELECT at FROM public.sabotage) THEN
        RAISE EXCEPTION 'sabotage' USING ERRCODE = '58030';
    END IF;
    RETURN NULL;
END
$$;
"""


class Saboteur:
    """Lets the statement with a certain number fail, before or after PostgreSQL has run it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def prepare(self, moment: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(SABOTAGE.encode())
            for table in TABLES:
                connection.execute(
                    f"CREATE TRIGGER sabotage {moment} INSERT OR UPDATE OR DELETE ON asynctasq.{table}"
                    " FOR EACH STATEMENT EXECUTE FUNCTION sabotaged()".encode()
                )

    def arm(self, statement: int) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("UPDATE sabotage SET at = %s", [statement])
            connection.execute("SELECT setval('statements', 0)")

    def disarm(self) -> bool:
        with psycopg.connect(self._url, autocommit=True) as connection:
            row = connection.execute(
                "SELECT (SELECT last_value FROM statements) >= at FROM sabotage"
            ).fetchone()
            connection.execute("UPDATE sabotage SET at = %s", [NEVER])
        return row is not None and bool(row[0])


async def damage(driver: Driver, message_id: bytes) -> None:
    assert isinstance(driver, PostgresDriver)
    async with await psycopg.AsyncConnection.connect(driver.settings.url) as connection:
        await connection.execute(
            "UPDATE asynctasq.messages SET profile = '\\xc1' WHERE id = %s",
            [UUID(bytes=message_id)],
        )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a few operations, and with `--full` all of them, with an error before and after each statement."""
    is_full = metafunc.config.getoption("full")
    if "then" in metafunc.fixturenames:
        pairs = FOLLOW_UPS if is_full else FOLLOW_UPS[::PAIR_STEP]
        metafunc.parametrize(("operation", "then"), pairs, ids=lambda each: each.__name__)
    elif "operation" in metafunc.fixturenames:
        chosen = [each for each in OPERATIONS if is_full or each.__name__ in QUICK]
        metafunc.parametrize("operation", chosen, ids=lambda operation: operation.__name__)
    if "sabotaged" in metafunc.fixturenames:
        moments = ["BEFORE", "AFTER"] if is_full else ["AFTER"]
        metafunc.parametrize("sabotaged", moments, indirect=True, scope="module")


@pytest.fixture(scope="module")
def sabotaged(empty_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the URL of a database whose statements can be made to fail."""
    with own_database(empty_url) as url:
        asyncio.run(PostgresDriver(url).migrate())
        Saboteur(url).prepare(request.param)
        yield url


async def test_an_error_at_any_statement_loses_nothing(
    operation: Operation, sabotaged: str, request: pytest.FixtureRequest
) -> None:
    await check_aborts(
        operation,
        lambda name: PostgresDriver(sabotaged, namespace=f"{request.node.name}-{name}"),
        Saboteur(sabotaged),
        damage=damage,
    )


async def test_another_call_after_a_statement_that_failed_leaves_no_stray_row(
    operation: Operation, then: Operation, sabotaged: str, request: pytest.FixtureRequest
) -> None:
    await check_follow_up(
        operation,
        then,
        lambda name: PostgresDriver(sabotaged, namespace=f"{request.node.name}-{name}"),
        Saboteur(sabotaged),
        damage=damage,
        every=1 if request.config.getoption("full") else STEP,
    )
