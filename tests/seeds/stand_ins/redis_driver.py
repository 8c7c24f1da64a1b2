"""Instead of `asynctasq.drivers.redis_driver` where the sibling is not installed."""

from asynctasq.drivers.sqlite import SqliteDriver

CUSTOM_STORE = "custom.db"


class RedisDriver(SqliteDriver):
    """A driver made at import with its own arguments, as in the documents."""

    def __init__(self, *, url: str, password: str, db: int, max_connections: int) -> None:
        assert (url, password, db, max_connections) == ("redis://custom-host:6379", "secret", 1, 20)
        super().__init__(CUSTOM_STORE)
