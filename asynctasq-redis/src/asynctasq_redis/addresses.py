"""Where a Redis is: its URL taken apart."""

from dataclasses import field
from urllib.parse import parse_qsl, unquote

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
"""Scheme to what answers there, and whether by TLS."""


@record
class Address:
    """The parts of a URL, decoded."""

    kind: str
    tls: bool
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    """Of a Unix socket."""
    service: str = ""
    """The name by which sentinels know the server."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int | None = None


def split_query(url: str) -> tuple[str, list[tuple[str, str]]]:
    """A URL without its parameters, and those."""
    base, _, query = url.partition("?")
    return base, parse_qsl(query, keep_blank_values=True)


def parse_address(url: str) -> Address:
    """Take a URL without parameters apart.

    Names and passwords may be percent-encoded; a password with `@` or `/` in it is understood as it
    is, because what follows the last `@` is the host.

    Raises:
        ConfigurationError: it is no address of a Redis. The message does not repeat the URL, which
            may hold a password.
    """
    scheme, separator, rest = url.partition("://")
    known = SCHEMES.get(scheme.lower()) if separator else None
    if known is None:
        raise ConfigurationError(
            f"redis.url begins with {scheme if separator else ''!r}. It begins with one of "
            f"{', '.join(f'{name}://' for name in SCHEMES)}."
        )
    kind, tls = known
    credentials, at, place = rest.rpartition("@")
    username, _, password = credentials.partition(":")
    who = (unquote(username) or None, unquote(password) or None) if at else (None, None)
    if scheme.lower() == "unix":
        if not place.strip("/"):
            raise ConfigurationError(
                "redis.url names no socket. Behind unix:// stands its path: "
                "unix:///run/redis/redis.sock"
            )
        return Address(kind, tls, (), unquote(place), "", *who)
    netloc, _, path = place.partition("/")
    parts = [unquote(part) for part in path.split("/") if part]
    service = ""
    if kind == SENTINEL:
        if not parts:
            raise ConfigurationError(
                "redis.url names sentinels, but not the service that they watch: "
                "redis+sentinel://host:26379,host:26379/SERVICE/0"
            )
        service = parts.pop(0)
    if len(parts) > 1:
        raise ConfigurationError(
            "redis.url has a path of several parts. After the host stands a database number at most; "
            "a `/` that is part of a password is written as %2F."
        )
    port = SENTINEL_PORT if kind == SENTINEL else DEFAULT_PORT
    hosts = tuple(_host(one, port) for one in netloc.split(",")) if netloc else ()
    if kind == SINGLE and len(hosts) > 1:
        raise ConfigurationError(
            "redis.url names several hosts, which only sentinels and clusters have: "
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
    """An address for people, without its password."""
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
            raise ConfigurationError("redis.url has a host whose bracket is not closed.")
    else:
        host, _, port_text = text.partition(":")
    if not port_text:
        return unquote(host) or "localhost", default_port
    if not port_text.isascii() or not port_text.isdigit() or int(port_text) > 65_535:
        raise ConfigurationError(
            "redis.url has a port that is no number up to 65535. Behind a password stands `@` and the "
            "host: redis://:password@host:6379"
        )
    return unquote(host) or "localhost", int(port_text)


def _db(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ConfigurationError(
            "redis.url has a database that is no number. If that is a part of the password, "
            "percent-encode it."
        )
    return int(text)
