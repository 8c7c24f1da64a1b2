"""The Redis driver under its documented import path; `asynctasq-redis` brings it."""

try:
    from asynctasq_redis import (  # pyright: ignore[reportMissingImports]  need not be installed
        RedisDriver as RedisDriver,
    )
except ModuleNotFoundError as error:
    if error.name != "asynctasq_redis":  # it is there, and lacks something: its own error tells
        raise
    raise ModuleNotFoundError(
        "The Redis driver is not installed. To install it: pip install 'asynctasq[redis]'",
        name=error.name,
    ) from None
