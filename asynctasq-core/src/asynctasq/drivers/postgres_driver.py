"""The PostgreSQL driver under its documented import path; `asynctasq-postgres` brings it."""

try:
    from asynctasq_postgres import (  # pyright: ignore[reportMissingImports]  need not be installed
        PostgresDriver as PostgresDriver,
    )
except ModuleNotFoundError as error:
    if error.name != "asynctasq_postgres":  # it is there, and lacks something: its own error tells
        raise
    raise ModuleNotFoundError(
        "The PostgreSQL driver is not installed. To install it: pip install 'asynctasq[postgres]'",
        name=error.name,
    ) from None
