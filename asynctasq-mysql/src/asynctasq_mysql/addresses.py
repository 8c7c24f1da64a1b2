"""The address of a server: the parts of its URL."""

from dataclasses import field
from urllib.parse import unquote

from asynctasq.errors import ConfigurationError
from asynctasq.records import record

DEFAULT_PORT = 3306
SCHEMES = ("mysql", "mariadb")


@record
class Address:
    """The parts of a URL, decoded."""

    host: str = "localhost"
    port: int = DEFAULT_PORT
    socket: str = ""
    """The path of a Unix socket; empty for TCP."""
    username: str = ""
    password: str | None = field(default=None, repr=False)
    database: str = ""


def parse_address(url: str) -> Address:
    """Return the parts of a URL without parameters.

    Names and passwords may be percent-encoded. A password may contain `@`, `:` or `/` as it is, because the host
    follows the last `@`.

    Raises:
        ConfigurationError: it is not an address of MySQL or MariaDB. The message does not repeat the URL, which
            may contain a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in SCHEMES:
        raise ConfigurationError(
            f"mysql.url must begin with mysql:// or mariadb://, got {scheme if separator else ''!r}."
        )
    credentials, at, place = rest.rpartition("@")
    username, colon, password = credentials.partition(":")
    netloc, _, path = place.partition("/")
    database = unquote(path)
    if "/" in path:
        raise ConfigurationError(
            "mysql.url must have only the name of a database after the host. Write a `/` that is part of a "
            "name as %2F."
        )
    host, port = _host(netloc)
    return Address(
        host, port, "", unquote(username), unquote(password) if at and colon else None, database
    )


def described(address: Address, namespace: str) -> str:
    """Return an address for logs and errors, without its password."""
    who = address.username + (":***" if address.password is not None else "")
    host = f"[{address.host}]" if ":" in address.host else address.host
    place = address.socket or f"{host}:{address.port}"
    return f"mysql://{f'{who}@' if who else ''}{place}/{address.database} ({namespace})"


def _host(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ConfigurationError("mysql.url must close the bracket of its host.")
        port = rest.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    if not port:
        return unquote(host) or "localhost", DEFAULT_PORT
    if not port.isascii() or not port.isdigit() or not 0 < int(port) <= 65_535:
        raise ConfigurationError(
            "mysql.url must have a port from 1 to 65535. After a password, write `@` and the host: "
            "mysql://user:password@host:3306/database"
        )
    return unquote(host) or "localhost", int(port)
