"""The settings of the PostgreSQL driver."""

import re
from dataclasses import fields
from typing import Any, ClassVar, Literal, TypeAlias, get_args

from asynctasq.contracts.capabilities import DEAD_LETTER_LIMIT, DEAD_LETTER_TTL_SECONDS
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
from asynctasq_postgres.addresses import (
    DEFAULT_PORT,
    Address,
    described,
    parse_address,
    parse_hosts,
)

DEFAULT_URL = "postgresql://localhost"

Tls: TypeAlias = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]
SynchronousCommit: TypeAlias = Literal["on", "off", "local", "remote_write", "remote_apply"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,40}")
_PREFIX = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,15})?")
_NOT_NEGATIVE = ("dead_letter_ttl", "dead_letter_limit", "statement_cache_size")
_POSITIVE = ("max_connections", "timeout", "connect_timeout", "poll_interval", "port")
_CHOICES = {"tls": get_args(Tls), "synchronous_commit": get_args(SynchronousCommit)}


@record
class PostgresSettings:
    """Settings of `PostgresDriver`."""

    section: ClassVar[str] = "postgres"
    """The section, for all schemes of URLs."""

    url: str = DEFAULT_URL
    """`postgresql://user:password@host:5432/database`, or `postgres://`. Several hosts are separated by commas: the
    driver uses the one that accepts writes. Special characters of a password are percent-encoded. Settings may
    follow as parameters: `?namespace=shop`."""
    host: str | None = None
    """The host. Overrides those of the URL. It may be the folder of a Unix socket, such as `/var/run/postgresql`, or
    a list as in the URL."""
    port: int | None = None
    """The port of hosts that name none."""
    username: str | None = None
    """The user name. Overrides that of the URL."""
    password: str | None = None
    """The password. Overrides that of the URL."""
    database: str | None = None
    """The name of the database. Overrides that of the URL."""
    namespace: str = "asynctasq"
    """Name under which the driver stores everything. Applications with different namespaces can share the tables."""
    schema: str = "asynctasq"
    """The schema of the tables."""
    table_prefix: str = ""
    """A prefix of the names of tables, functions and indexes."""
    max_connections: int = 3
    """Maximum number of connections of an opened driver, without that of notifications. They are made when they are
    needed. Further calls wait."""
    timeout: float = 10.0
    """Seconds to wait for an answer before a call fails and is repeated."""
    connect_timeout: float = 5.0
    """Seconds to wait for a connection."""
    listen: bool = True
    """True to keep a connection for notifications, by which idle workers learn of messages at once. Without it they
    look once in `poll_interval`."""
    listen_url: str | None = None
    """URL of that connection, if `url` is that of a PgBouncer in transaction mode."""
    poll_interval: float = 1.0
    """Seconds between two looks of an idle worker, and of a caller that waits for a result. Notifications come
    earlier, and a worker that receives them waits half as long again between two looks."""
    statement_cache_size: int = 100
    """Number of prepared statements that a connection keeps. Set it to 0 behind a PgBouncer in transaction mode
    that has no `max_prepared_statements`."""
    synchronous_commit: SynchronousCommit | None = None
    """Failures that an accepted message survives: as the setting of the same name in PostgreSQL. By default, that of the
    server applies."""
    dead_letter_ttl: float = DEAD_LETTER_TTL_SECONDS
    """Seconds for which dead letters are kept."""
    dead_letter_limit: int = DEAD_LETTER_LIMIT
    """Number of dead letters that are kept: the newest."""
    tls: Tls | None = None
    """As `sslmode` of PostgreSQL. By default `prefer`, or `verify-full` if `tls_ca` is set."""
    tls_ca: str | None = None
    """File of trusted certificate authorities. Overrides those of the system."""
    tls_certificate: str | None = None
    """File of the client certificate."""
    tls_key: str | None = None
    """File of the key of the client certificate."""

    def __post_init__(self) -> None:
        for each in fields(self):
            check_type(
                f"postgres.{each.name}",
                getattr(self, each.name),
                each.type,
                instances=_instances(each.type),
            )
        if not self.namespace or not _is_storable(self.namespace):
            raise ConfigurationError(
                f"postgres.namespace must be a name, got {self.namespace!r}. Give it one, or leave it out."
            )
        for name, pattern in (("schema", _NAME), ("table_prefix", _PREFIX)):
            if not pattern.fullmatch(getattr(self, name)):
                raise ConfigurationError(
                    f"postgres.{name} must consist of letters, digits and `_`, got {getattr(self, name)!r}."
                )
        for name in (*_NOT_NEGATIVE, *_POSITIVE):
            check_amount(f"postgres.{name}", getattr(self, name), positive=name in _POSITIVE)
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise ConfigurationError(
                    f"postgres.{name} must be one of {', '.join(choices)}, got {value!r}."
                )
        self.address()
        self.listen_address()

    def __repr__(self) -> str:
        """Return a text without passwords, for logs."""
        return f"{type(self).__qualname__}({self.description})"

    @property
    def description(self) -> str:
        """The address of the store, without its password."""
        return described(self.address(), schema=self.schema, namespace=self.namespace)

    def address(self) -> Address:
        """Return the address of the server, with the credentials.

        Raises:
            ConfigurationError: the URL is not an address of a PostgreSQL server, or has parameters.
        """
        return self._address(self.url, "postgres.url", overrides=True)

    def listen_address(self) -> Address:
        """Return the address of the connection for notifications; it has the same user unless its URL says otherwise."""
        if self.listen_url is None:
            return self.address()
        return self._address(self.listen_url, "postgres.listen_url", overrides=False)

    def _address(self, url: str, setting: str, *, overrides: bool) -> Address:
        found = parse_address(without_query(url, setting=setting))
        hosts = found.hosts
        if self.host is not None and overrides:
            hosts = parse_hosts(
                self.host if ":" not in self.host or "," in self.host else _bracketed(self.host),
                "postgres.host",
            )
        port = DEFAULT_PORT if self.port is None or not overrides else self.port
        placed = tuple((host, own or port) for host, own in hosts or (("localhost", None),))
        preferred = (self.username, self.password, self.database)
        written = (found.username, found.password, found.database)
        chosen = [
            (mine if overrides and mine is not None else theirs) or mine
            for mine, theirs in zip(preferred, written, strict=True)
        ]
        return Address(placed, *chosen)

    @staticmethod
    def from_url(url: str) -> dict[str, object]:
        """Return the settings that a URL contains.

        Raises:
            ConfigurationError: a part of the URL is not valid.
        """
        check_type("postgres.url", url, str)
        base, parameters = split_query(url)
        parse_address(base)
        check_parameter_names(parameters, url="postgres.url")
        named = [(_ALIASES.get(name, name), text) for name, text in parameters]
        return {"url": base, **url_settings(named, _URL_PARAMETERS, url="postgres.url")}


def _bracketed(host: str) -> str:
    """Return an IPv6 address in brackets, and any other host as it is."""
    is_bare = host.count(":") > 1 and not host.startswith(("[", "/"))
    return f"[{host}]" if is_bare else host


def _instances(kind: Any) -> Any:
    """Return the type of the values of a setting with choices; None for other settings."""
    return str | None if any(kind == choice | None for choice in (Tls, SynchronousCommit)) else None


def _is_storable(name: str) -> bool:
    try:
        return b"\0" not in name.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False


_ALIASES = {
    "sslmode": "tls",
    "sslrootcert": "tls_ca",
    "sslcert": "tls_certificate",
    "sslkey": "tls_key",
    "user": "username",
    "dbname": "database",
}
"""Parameters of libpq, to the settings that they mean."""
_URL_PARAMETERS: Converters = {
    "host": str,
    "port": int,
    "username": str,
    "password": str,
    "database": str,
    "namespace": str,
    "schema": str,
    "table_prefix": str,
    "max_connections": int,
    "timeout": float,
    "connect_timeout": float,
    "listen": flag,
    "listen_url": str,
    "poll_interval": float,
    "statement_cache_size": int,
    "synchronous_commit": str,
    "dead_letter_ttl": float,
    "dead_letter_limit": int,
    "tls": str,
    "tls_ca": str,
    "tls_certificate": str,
    "tls_key": str,
}
