"""The MySQL driver under its documented import path; `asynctasq-mysql` brings it."""

try:
    from asynctasq_mysql import (  # pyright: ignore[reportMissingImports]  need not be installed
        MySQLDriver as MySQLDriver,
    )
except ModuleNotFoundError as error:
    if error.name != "asynctasq_mysql":  # it is there, and lacks something: its own error tells
        raise
    raise ModuleNotFoundError(
        "The MySQL driver is not installed. To install it: pip install 'asynctasq[mysql]'",
        name=error.name,
    ) from None
