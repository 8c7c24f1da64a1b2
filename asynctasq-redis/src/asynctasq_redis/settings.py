"""The settings of the Redis driver."""

from dataclasses import fields
from typing import ClassVar

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
from asynctasq_redis.addresses import (
    CLUSTER,
    SENTINEL,
    Address,
    described,
    parse_address,
)

DEFAULT_URL = "redis://localhost:6379/0"

_NOT_NEGATIVE = ("db", "dead_letter_ttl", "dead_letter_limit", "wait_replicas")
_POSITIVE = ("max_connections", "timeout", "connect_timeout", "wait_replicas_timeout")


@record
class RedisSettings:
    """Settings of `RedisDriver`."""

    section: ClassVar[str] = "redis"
    """The section, for all schemes of URLs."""

    url: str = DEFAULT_URL
    """`redis://user:password@host:6379/0`, `rediss://` with TLS, `unix:///path/to/socket`,
    `redis+sentinel://host,host/service/0`, `redis+cluster://host,host`. Special characters of a
    password are percent-encoded. Settings may follow as parameters: `?namespace=shop`."""
    username: str | None = None
    """The user name. Overrides that of the URL."""
    password: str | None = None
    """The password. Overrides that of the URL."""
    db: int | None = None
    """The database number. Overrides that of the URL."""
    namespace: str = "asynctasq"
    """Name under which the driver stores everything. Applications with different namespaces can share a server.
    On a cluster, each namespace is on one node."""
    max_connections: int = 50
    """Maximum number of connections for each event loop of a process. Further calls wait."""
    timeout: float = 10.0
    """Seconds to wait for an answer before a call fails and is repeated."""
    connect_timeout: float = 5.0
    """Seconds to wait for a connection."""
    wait_replicas: int = 0
    """Number of replicas that must have enqueued and settled messages before a call returns."""
    wait_replicas_timeout: float = 1.0
    """Seconds to wait for the replicas before a call fails and is repeated. Must be less than `timeout`."""
    dead_letter_ttl: float = DEAD_LETTER_TTL_SECONDS
    """Seconds for which dead letters are kept."""
    dead_letter_limit: int = DEAD_LETTER_LIMIT
    """Number of dead letters that are kept: the newest."""
    sentinel_username: str | None = None
    """User name for sentinels."""
    sentinel_password: str | None = None
    """Password for sentinels. That of the URL is for the server."""
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
            check_type(f"redis.{each.name}", getattr(self, each.name), each.type)
        if not self.namespace or set(self.namespace) & set("{}") or not _is_text(self.namespace):
            raise ConfigurationError(
                f"redis.namespace must be a name without braces, got {self.namespace!r}."
            )
        for name in (*_NOT_NEGATIVE, *_POSITIVE):
            check_amount(f"redis.{name}", getattr(self, name), positive=name in _POSITIVE)
        address = self.address()
        if address.kind == CLUSTER and address.db:
            raise ConfigurationError(f"redis.db must be 0 on a cluster, got {address.db}.")
        if self.wait_replicas and self.wait_replicas_timeout >= self.timeout:
            raise ConfigurationError(
                f"redis.wait_replicas_timeout must be less than redis.timeout ({self.timeout!r}), got "
                f"{self.wait_replicas_timeout!r}."
            )
        if address.kind != SENTINEL and (self.sentinel_username or self.sentinel_password):
            raise ConfigurationError(
                "redis.sentinel_username and redis.sentinel_password are for sentinels. Begin the URL with "
                "redis+sentinel://, or remove them."
            )

    def __repr__(self) -> str:
        """Return a text without passwords, for logs."""
        return f"{type(self).__qualname__}({described(self.address(), self.namespace)})"

    def address(self) -> Address:
        """Return the address of the server, with the credentials.

        Raises:
            ConfigurationError: the URL is not an address of a Redis, or has parameters.
        """
        address = parse_address(without_query(self.url, setting="redis.url"))
        return Address(
            address.kind,
            address.tls,
            address.hosts,
            address.path,
            address.service,
            self.username if self.username is not None else address.username,
            self.password if self.password is not None else address.password,
            self.db if self.db is not None else address.db or 0,
        )

    @staticmethod
    def from_url(url: str) -> dict[str, object]:
        """Return the settings that a URL contains.

        Raises:
            ConfigurationError: a part of the URL is not valid.
        """
        check_type("redis.url", url, str)
        base, parameters = split_query(url)
        parse_address(base)
        check_parameter_names(parameters, url="redis.url")
        return {"url": base, **url_settings(parameters, _URL_PARAMETERS, url="redis.url")}


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


_URL_PARAMETERS: Converters = {
    "username": str,
    "password": str,
    "db": int,
    "namespace": str,
    "max_connections": int,
    "timeout": float,
    "connect_timeout": float,
    "wait_replicas": int,
    "wait_replicas_timeout": float,
    "dead_letter_ttl": float,
    "dead_letter_limit": int,
    "sentinel_username": str,
    "sentinel_password": str,
    "tls_ca": str,
    "tls_certificate": str,
    "tls_key": str,
    "tls_verify": flag,
}
