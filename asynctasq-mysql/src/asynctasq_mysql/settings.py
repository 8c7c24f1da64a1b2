"""The settings of the MySQL driver."""

import re
import ssl
from dataclasses import fields
from typing import ClassVar, Literal, TypeAlias, get_args

from asynctasq.contracts.capabilities import DEAD_LETTER_LIMIT, DEAD_LETTER_TTL_SECONDS
from asynctasq.driverkit.tls import client_context
from asynctasq.driverkit.url_settings import (
    Converters,
    check_amount,
    check_parameter_names,
    check_type,
    flag,
    split_query,
    url_settings,
    without_query,
)
from asynctasq.errors import ConfigurationError
from asynctasq.records import record
from asynctasq_mysql.addresses import Address, described, parse_address

DEFAULT_URL = "mysql://localhost:3306/asynctasq"
NAME_LIMIT = 1000
"""Bytes of the longest name of a namespace, a queue or a worker."""

ClientName: TypeAlias = Literal["aiomysql", "asyncmy"]

_PREFIX = re.compile("[A-Za-z0-9_]{0,40}")
_NOT_NEGATIVE = ("dead_letter_ttl", "dead_letter_limit")
_POSITIVE = ("max_connections", "timeout", "connect_timeout", "port")


@record
class MySQLSettings:
    """Settings of `MySQLDriver`."""

    section: ClassVar[str] = "mysql"
    """The section, for all schemes of URLs."""

    url: str = DEFAULT_URL
    """`mysql://user:password@host:3306/database` or the same with `mariadb://`. Special characters of a password
    may be percent-encoded. Settings may follow as parameters: `?namespace=shop`."""
    host: str | None = None
    """The host. Overrides that of the URL."""
    port: int | None = None
    """The port. Overrides that of the URL."""
    socket: str | None = None
    """Path of a Unix socket, used instead of a host and a port."""
    username: str | None = None
    """The user name. Overrides that of the URL."""
    password: str | None = None
    """The password. Overrides that of the URL."""
    database: str | None = None
    """The database. Overrides that of the URL."""
    namespace: str = "asynctasq"
    """Applications with different namespaces can share the tables. They do not see each other's messages."""
    table_prefix: str = "asynctasq_"
    """Beginning of the names of all tables: letters, digits and underscores."""
    client: ClientName = "aiomysql"
    """The client library. `asyncmy` has to be installed: pip install 'asynctasq-mysql[asyncmy]'."""
    max_connections: int = 5
    """Maximum number of connections for each event loop of a process. They are opened when they are needed, and
    further calls wait."""
    timeout: float = 20.0
    """Seconds to wait for an answer before a call fails and is repeated."""
    connect_timeout: float = 5.0
    """Seconds to wait for a connection."""
    dead_letter_ttl: float = DEAD_LETTER_TTL_SECONDS
    """Seconds for which dead letters are kept."""
    dead_letter_limit: int = DEAD_LETTER_LIMIT
    """Number of dead letters that are kept: the newest."""
    tls: bool = False
    """True to encrypt connections. Set by any other setting whose name begins with `tls`."""
    tls_ca: str | None = None
    """File of trusted certificate authorities. Overrides those of the system."""
    tls_certificate: str | None = None
    """File of the client certificate."""
    tls_key: str | None = None
    """File of the key of the client certificate."""
    tls_verify: bool = True
    """True to verify the certificate of the server. Without verification, others can read the traffic."""

    def __post_init__(self) -> None:
        for each in fields(self):
            if each.name != "client":
                check_type(f"mysql.{each.name}", getattr(self, each.name), each.type)
        if not self.namespace or len(self.namespace.encode("utf-8", "surrogatepass")) > NAME_LIMIT:
            raise ConfigurationError(
                f"mysql.namespace must have 1 to {NAME_LIMIT} bytes, got {self.namespace!r}."
            )
        if not _PREFIX.fullmatch(self.table_prefix):
            raise ConfigurationError(
                f"mysql.table_prefix must have at most 40 letters, digits and underscores, got "
                f"{self.table_prefix!r}."
            )
        if self.client not in get_args(ClientName):
            raise ConfigurationError(
                f"mysql.client must be one of {', '.join(get_args(ClientName))}, got {self.client!r}."
            )
        for name in (*_NOT_NEGATIVE, *_POSITIVE):
            check_amount(f"mysql.{name}", getattr(self, name), positive=name in _POSITIVE)
        if not self.address().database:
            raise ConfigurationError(
                "mysql.database must not be empty. Put it into the URL, for example: mysql://localhost/shop"
            )

    def __repr__(self) -> str:
        """Return a text without passwords, for logs."""
        return f"{type(self).__qualname__}({described(self.address(), self.namespace)})"

    def address(self) -> Address:
        """Return the address of the server, with the credentials.

        Raises:
            ConfigurationError: the URL is not an address of a server, or has parameters.
        """
        found = parse_address(without_query(self.url, setting="mysql.url"))
        return Address(
            self.host if self.host is not None else found.host,
            self.port if self.port is not None else found.port,
            self.socket or "",
            self.username if self.username is not None else found.username,
            self.password if self.password is not None else found.password,
            self.database if self.database is not None else found.database,
        )

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the context of encrypted connections; None if they are not encrypted.

        Raises:
            ConfigurationError: a file of the settings cannot be read.
        """
        if not (self.tls or self.tls_ca or self.tls_certificate or not self.tls_verify):
            return None
        return client_context(
            "mysql",
            ca=self.tls_ca,
            certificate=self.tls_certificate,
            key=self.tls_key,
            verify=self.tls_verify,
        )

    @staticmethod
    def from_url(url: str) -> dict[str, object]:
        """Return the settings that a URL contains.

        Raises:
            ConfigurationError: a part of the URL is not valid.
        """
        check_type("mysql.url", url, str)
        base, parameters = split_query(url)
        parse_address(base)
        check_parameter_names(parameters, url="mysql.url")
        return {"url": base, **url_settings(parameters, _URL_PARAMETERS, url="mysql.url")}


_URL_PARAMETERS: Converters = {
    "host": str,
    "port": int,
    "socket": str,
    "username": str,
    "password": str,
    "database": str,
    "namespace": str,
    "table_prefix": str,
    "client": str,
    "max_connections": int,
    "timeout": float,
    "connect_timeout": float,
    "dead_letter_ttl": float,
    "dead_letter_limit": int,
    "tls": flag,
    "tls_ca": str,
    "tls_certificate": str,
    "tls_key": str,
    "tls_verify": flag,
}
