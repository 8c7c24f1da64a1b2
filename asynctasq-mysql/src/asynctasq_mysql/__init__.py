"""MySQL (and MariaDB) as the store of asynctasq. Importing this package does not import a client."""

from asynctasq_mysql.driver import MySQLDriver
from asynctasq_mysql.settings import MySQLSettings

__version__ = "0.1.0"
__all__ = ["MySQLDriver", "MySQLSettings", "__version__"]
