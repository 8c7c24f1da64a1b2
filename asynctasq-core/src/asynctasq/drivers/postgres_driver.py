"""The documented import path of the PostgreSQL driver, which `asynctasq-postgres` will bring."""

try:
    from asynctasq_postgres import (  # pyright: ignore[reportMissingImports]  need not be installed
        PostgresDriver as PostgresDriver,
    )
except ModuleNotFoundError as error:
    if error.name != "asynctasq_postgres":  # it is there, and lacks something: its own error tells
        raise
    raise ModuleNotFoundError(
        "The PostgreSQL driver is planned, but not available yet.",
        name=error.name,
    ) from None
