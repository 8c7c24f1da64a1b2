"""The address of a Redis: the parts of its URL."""

from dataclasses import field
from urllib.parse import unquote

from asynctasq.errors import ConfigurationError
from asynctasq.records import record

DEFAULT_PORT = 6379
SENTINEL_PORT = 26379
SINGLE, SENTINEL, CLUSTER = "single", "sentinel", "cluster"

SCHEMES: dict[str, tuple[str, bool]] = {
    "redis": (SINGLE, False),
    "rediss": (SINGLE, True),
    "unix": (SINGLE, False),
    "valkey": (SINGLE, False),
    "valkeys": (SINGLE, True),
    "redis+sentinel": (SENTINEL, False),
    "rediss+sentinel": (SENTINEL, True),
    "redis+cluster": (CLUSTER, False),
    "rediss+cluster": (CLUSTER, True),
}
"""Scheme to the kind of server, and whether it uses TLS."""


@record
class Address:
    """The parts of a URL, decoded."""

    kind: str
    tls: bool
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    """The path of a Unix socket."""
    service: str = ""
    """The name by which sentinels know the server."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int | None = None


def parse_address(url: str) -> Address:
    """Return the parts of a URL without parameters.

    Names and passwords may be percent-encoded. A password may contain `@` or `/` as it is, because the host
    follows the last `@`.

    Raises:
        ConfigurationError: it is not an address of a Redis. The message does not repeat the URL, which
            may contain a password.
    """
    scheme, separator, rest = url.partition("://")
    known = SCHEMES.get(scheme.lower()) if separator else None
    if known is None:
        raise ConfigurationError(
            f"redis.url must begin with one of {', '.join(f'{name}://' for name in SCHEMES)}, got "
            f"{scheme if separator else ''!r}."
        )
    kind, tls = known
    credentials, at, place = rest.rpartition("@")
    username, _, password = credentials.partition(":")
    who = (unquote(username) or None, unquote(password) or None) if at else (None, None)
    if scheme.lower() == "unix":
        if not place.strip("/"):
            raise ConfigurationError(
                "redis.url must contain the path of the socket after unix://. For example: "
                "unix:///run/redis/redis.sock"
            )
        return Address(kind, tls, (), unquote(place), "", *who)
    netloc, _, path = place.partition("/")
    parts = [unquote(part) for part in path.split("/") if part]
    service = ""
    if kind == SENTINEL:
        if not parts:
            raise ConfigurationError(
                "redis.url must contain the service that the sentinels watch: "
                "redis+sentinel://host:26379,host:26379/SERVICE/0"
            )
        service = parts.pop(0)
    if len(parts) > 1:
        raise ConfigurationError(
            "redis.url must have only a database number after the host. Write a `/` that is part of a "
            "password as %2F."
        )
    port = SENTINEL_PORT if kind == SENTINEL else DEFAULT_PORT
    hosts = tuple(_host(one, port) for one in netloc.split(",")) if netloc else ()
    if kind == SINGLE and len(hosts) > 1:
        raise ConfigurationError(
            "redis.url must name one host, unless it is that of sentinels or of a cluster: "
            "redis+sentinel://host,host/SERVICE/0 or redis+cluster://host,host"
        )
    return Address(
        kind,
        tls,
        hosts or (("localhost", port),),
        "",
        service,
        *who,
        _db(parts[0]) if parts else None,
    )


def described(address: Address, namespace: str) -> str:
    """Return an address for logs and errors, without its password."""
    scheme = "unix" if address.path else "rediss" if address.tls else "redis"
    scheme += "" if address.kind == SINGLE else f"+{address.kind}"
    user = address.username or ""
    who = f"{user}:***@" if address.password is not None else f"{user}@" if user else ""
    hosts = ",".join(f"{host}:{port}" for host, port in address.hosts)
    service = f"/{address.service}" if address.service else ""
    db = "" if address.kind == CLUSTER else f"/{address.db or 0}"
    place = f"{scheme}://{who}{hosts}{address.path}{service}{db if not address.path else ''}"
    return f"{place} ({namespace})"


def _host(text: str, default_port: int) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        port_text = rest.removeprefix(":")
        if not bracket or (rest and not rest.startswith(":")):
            raise ConfigurationError("redis.url must close the bracket of its host.")
    else:
        host, _, port_text = text.partition(":")
    if not port_text:
        return unquote(host) or "localhost", default_port
    if not port_text.isascii() or not port_text.isdigit() or int(port_text) > 65_535:
        raise ConfigurationError(
            "redis.url must have a port from 0 to 65535. After a password, write `@` and the host: "
            "redis://:password@host:6379"
        )
    return unquote(host) or "localhost", int(port_text)


def _db(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ConfigurationError(
            "redis.url must have a number as its database. If that text is part of the password, "
            "percent-encode it."
        )
    return int(text)
