"""PostgreSQL as the store of asynctasq."""

from asynctasq_postgres.driver import PostgresDriver
from asynctasq_postgres.settings import PostgresSettings

__version__ = "0.1.0"
__all__ = ["PostgresDriver", "PostgresSettings", "__version__"]
