"""The documented import path of the MySQL driver, which `asynctasq-mysql` will bring."""

try:
    from asynctasq_mysql import (  # pyright: ignore[reportMissingImports]  need not be installed
        MySQLDriver as MySQLDriver,
    )
except ModuleNotFoundError as error:
    if error.name != "asynctasq_mysql":  # it is there, and lacks something: its own error tells
        raise
    raise ModuleNotFoundError(
        "The MySQL driver is planned, but not available yet.",
        name=error.name,
    ) from None
