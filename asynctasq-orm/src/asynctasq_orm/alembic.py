"""The tables of the outbox in migrations of Alembic."""

from typing import Any

from asynctasq.contracts import SupportsOutbox

PREFIX = "asynctasq_"
"""The names of tables begin with it, unless the setting `table_prefix` says otherwise."""


def create_outbox(op: Any, driver: SupportsOutbox) -> None:
    """Create the tables of the outbox, in the function `upgrade` of a migration.

        def upgrade() -> None:
            create_outbox(op, PostgresDriver())

    Args:
        op: `alembic.op`.
        driver: of the database. Nothing is opened: only its schema and the prefix of its tables matter.
    """
    for statement in driver.outbox().create_statements():
        op.execute(statement.replace(":", "\\:"))  # a colon begins a parameter


def include_object(
    item: object, name: str | None, type_: str, reflected: bool, compare_to: object
) -> bool:
    """Return False for the tables of asynctasq, so that `alembic revision --autogenerate` leaves them alone.

    Pass it to `context.configure(include_object=...)` in the file `env.py`.
    """
    del item
    is_unknown = reflected and compare_to is None
    return not (type_ == "table" and is_unknown and (name or "").startswith(PREFIX))
