"""What can be set of the Redis driver."""

import re
from collections.abc import Callable
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, ClassVar

from asynctasq.contracts.capabilities import DEAD_LETTER_LIMIT, DEAD_LETTER_TTL_SECONDS
from asynctasq.errors import ConfigurationError
from asynctasq.records import record
from asynctasq_redis.addresses import (
    CLUSTER,
    SENTINEL,
    Address,
    described,
    parse_address,
    split_query,
)

DEFAULT_URL = "redis://localhost:6379/0"

_WORD = re.compile("[a-z_]+")
_NOT_NEGATIVE = ("db", "dead_letter_ttl", "dead_letter_limit", "wait_replicas")
_POSITIVE = ("max_connections", "timeout", "connect_timeout", "wait_replicas_timeout")


@record
class RedisSettings:
    """Settings of `RedisDriver`."""

    section: ClassVar[str] = "redis"
    """Whatever the scheme of the URL is."""

    url: str = DEFAULT_URL
    """`redis://user:password@host:6379/0`, `rediss://` with TLS, `unix:///path/to/socket`,
    `redis+sentinel://host,host/service/0`, `redis+cluster://host,host`. Special characters of a
    password are percent-encoded. Settings may follow as parameters: `?namespace=shop`."""
    username: str | None = None
    """Instead of the URL's."""
    password: str | None = None
    """Instead of the URL's."""
    db: int | None = None
    """The database number, instead of the URL's."""
    namespace: str = "asynctasq"
    """Applications with different namespaces share a server and see nothing of each other. On a
    cluster each namespace lives on one node."""
    max_connections: int = 50
    """Connections that one process has at most, for each of its event loops; calls beyond wait."""
    timeout: float = 10.0
    """Seconds for an answer of the server, before the call fails and is repeated."""
    connect_timeout: float = 5.0
    """Seconds for a connection."""
    wait_replicas: int = 0
    """So many replicas must have what was enqueued or settled before the call returns."""
    wait_replicas_timeout: float = 1.0
    """Seconds to wait for them, before the call fails and is repeated. Less than `timeout`."""
    dead_letter_ttl: float = DEAD_LETTER_TTL_SECONDS
    """Seconds for which a dead letter is kept."""
    dead_letter_limit: int = DEAD_LETTER_LIMIT
    """How many dead letters are kept, the newest."""
    sentinel_username: str | None = None
    """Who we are for sentinels, if they ask."""
    sentinel_password: str | None = None
    """Of sentinels; the URL's is that of the server."""
    tls_ca: str | None = None
    """File of the authorities to trust, instead of the system's."""
    tls_certificate: str | None = None
    """File of the certificate that proves who we are."""
    tls_key: str | None = None
    """File of its key."""
    tls_verify: bool = True
    """Whether the server must prove who it is. Without, anybody on the way may read along."""

    def __post_init__(self) -> None:
        for each in fields(self):
            _check_type(each.name, getattr(self, each.name), each.type)
        if not self.namespace or set(self.namespace) & set("{}") or not _is_text(self.namespace):
            raise ConfigurationError(
                f"redis.namespace is {self.namespace!r}. It is a name without braces."
            )
        for name in (*_NOT_NEGATIVE, *_POSITIVE):
            value = getattr(self, name) or 0
            if not 0 <= value < float("inf") or (name in _POSITIVE and not value):
                raise ConfigurationError(f"redis.{name} is {value!r}. It is a positive number.")
        address = self.address()
        if address.kind == CLUSTER and address.db:
            raise ConfigurationError(
                f"redis.db is {address.db}, but a cluster has only database 0."
            )
        if self.wait_replicas and self.wait_replicas_timeout >= self.timeout:
            raise ConfigurationError(
                f"redis.wait_replicas_timeout is {self.wait_replicas_timeout!r}, but no answer may take "
                f"that long: redis.timeout is {self.timeout!r}."
            )
        if address.kind != SENTINEL and (self.sentinel_username or self.sentinel_password):
            raise ConfigurationError(
                "redis.sentinel_password is set, but the URL names no sentinels. It begins with "
                "redis+sentinel://."
            )

    def __repr__(self) -> str:
        """Without passwords, for it may get into logs."""
        return f"{type(self).__qualname__}({described(self.address(), self.namespace)})"

    def address(self) -> Address:
        """Where the server is, and who we are there.

        Raises:
            ConfigurationError: the URL is no address of a Redis, or has unknown parameters.
        """
        url, parameters = split_query(self.url)
        if parameters:
            raise ConfigurationError(
                "redis.url has parameters. Give them as settings of their own, and write a `?` that is "
                "part of a password as %3F."
            )
        address = parse_address(url)
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
        """The settings that stand in a URL.

        Raises:
            ConfigurationError: a part of the URL means nothing here.
        """
        _check_type("url", url, str)
        base, parameters = split_query(url)
        parse_address(base)
        settings: dict[str, object] = {"url": base}
        for name, text in parameters:
            convert = _URL_PARAMETERS.get(name)
            if convert is None and not _WORD.fullmatch(name):
                raise ConfigurationError(
                    "redis.url has a `?`, and no setting behind it. Write one that is part of a "
                    "password as %3F."
                )
            if convert is None:
                near = get_close_matches(name, _URL_PARAMETERS, 1)
                hint = (
                    f"did you mean {near[0]!r}?"
                    if near
                    else f"known: {', '.join(_URL_PARAMETERS)}."
                )
                raise ConfigurationError(f"redis.url has the parameter {name!r}; {hint}")
            try:
                settings[name] = convert(text)
            except ValueError:
                raise ConfigurationError(
                    f"redis.url has a value of {name} that is not of the right type."
                ) from None
        return settings


def _check_type(name: str, value: object, kind: Any) -> None:
    allowed = int | float if kind is float else kind
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        # The value is not told: it may be a password.
        raise ConfigurationError(
            f"redis.{name} is of the type {type(value).__qualname__}. Give it as "
            f"{getattr(kind, '__qualname__', kind)}."
        )


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a character
        return False
    return True


def _flag(text: str) -> bool:
    if text.lower() not in {"true", "1", "yes", "on", "false", "0", "no", "off"}:
        raise ValueError(text)
    return text.lower() in {"true", "1", "yes", "on"}


_URL_PARAMETERS: dict[str, Callable[[str], object]] = {
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
    "tls_verify": _flag,
}
