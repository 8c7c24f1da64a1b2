"""The address of a PostgreSQL server: the parts of its URL."""

from dataclasses import field
from urllib.parse import unquote

from asynctasq.errors import ConfigurationError
from asynctasq.records import record

DEFAULT_PORT = 5432
SCHEMES = ("postgresql", "postgres")


@record
class Address:
    """The parts of a URL, decoded."""

    hosts: tuple[tuple[str, int | None], ...] = ()
    """Names or IP addresses, each with its port if the URL has one. A name that begins with `/` is the folder of
    a Unix socket."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None


def parse_address(url: str) -> Address:
    """Return the parts of a URL without parameters.

    Names and passwords may be percent-encoded. A password may contain `@` or `/` as it is, because the host
    follows the last `@`.

    Raises:
        ConfigurationError: it is not an address of a PostgreSQL server. The message does not repeat the URL, which
            may contain a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in SCHEMES:
        raise ConfigurationError(
            f"postgres.url must begin with postgresql:// or postgres://, got {scheme if separator else ''!r}."
        )
    credentials, at, place = rest.rpartition("@")
    username, _, password = credentials.partition(":")
    netloc, _, path = place.partition("/")
    if "/" in path:
        raise ConfigurationError(
            "postgres.url must have only the name of a database after the host. Write a `/` that is part of a "
            "name as %2F."
        )
    return Address(
        parse_hosts(netloc, "postgres.url"),
        unquote(username) or None if at else None,
        unquote(password) or None if at else None,
        unquote(path) or None,
    )


def parse_hosts(text: str, setting: str) -> tuple[tuple[str, int | None], ...]:
    """Return the hosts of a list such as `one:5432,[::1],/var/run/postgresql`.

    Raises:
        ConfigurationError: the list is not valid.
    """
    return tuple(_host(one, setting) for one in text.split(",")) if text else ()


def _host(text: str, setting: str) -> tuple[str, int | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ConfigurationError(f"{setting} must close the bracket of its host.")
        port = rest.removeprefix(":")
    elif text.startswith("/") or text.lower().startswith("%2f"):
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    if not port:
        return unquote(host) or "localhost", None
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ConfigurationError(
            f"{setting} must have a port from 1 to 65535. After a password, write `@` and the host: "
            "postgresql://user:password@host:5432/database"
        )
    return unquote(host) or "localhost", int(port)


def described(address: Address, *, schema: str, namespace: str) -> str:
    """Return an address for logs and errors, without its password."""
    user = address.username or ""
    who = f"{user}:***@" if address.password is not None else f"{user}@" if user else ""
    hosts = ",".join(_shown(host, port) for host, port in address.hosts)
    return f"postgresql://{who}{hosts}/{address.database or ''} ({schema}, {namespace})"


def _shown(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port is None or host.startswith("/") else f"{name}:{port}"
