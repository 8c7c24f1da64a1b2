"""The address of a broker: the parts of its URL."""

from dataclasses import field
from urllib.parse import quote, unquote

from asynctasq.errors import ConfigurationError
from asynctasq.records import record

PORT, TLS_PORT = 5672, 5671
SCHEMES = {"amqp": False, "amqps": True, "rabbitmq": False}
"""The schemes of URLs, and whether they mean TLS."""


@record
class Address:
    """The parts of a URL, decoded."""

    host: str = "localhost"
    port: int = PORT
    username: str = "guest"
    password: str = field(default="guest", repr=False)
    virtual_host: str = "/"
    tls: bool = False


def parse_address(url: str) -> Address:
    """Return the parts of a URL without parameters.

    Names and passwords may be percent-encoded. A password may contain `@`, `:` or `/` as it is, because the host
    follows the last `@`. Without a path, or with an empty one, the virtual host is `/`.

    Raises:
        ConfigurationError: it is not an address of a broker. The message does not repeat the URL, which may
            contain a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in SCHEMES:
        raise ConfigurationError(
            f"rabbitmq.url must begin with amqp://, amqps:// or rabbitmq://, got "
            f"{scheme if separator else ''!r}."
        )
    tls = SCHEMES[scheme.lower()]
    credentials, at, place = rest.rpartition("@")
    username, colon, password = credentials.partition(":")
    netloc, _, path = place.partition("/")
    if "/" in path:
        raise ConfigurationError(
            "rabbitmq.url must have only the name of a virtual host after the host. Write a `/` that is part "
            "of a name as %2F."
        )
    host, port = _host(netloc, TLS_PORT if tls else PORT)
    return Address(
        host,
        port,
        unquote(username) if at and username else "guest",
        unquote(password) if at and colon else "guest",
        unquote(path) or "/",
        tls,
    )


def described(address: Address, namespace: str) -> str:
    """Return an address for logs and errors, without its password."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    scheme = "amqps" if address.tls else "amqp"
    path = quote(address.virtual_host, safe="") if address.virtual_host != "/" else ""
    return f"{scheme}://{address.username}:***@{host}:{address.port}/{path} ({namespace})"


def _host(text: str, default: int) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ConfigurationError("rabbitmq.url must close the bracket of its host.")
        port = rest.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    if not port:
        return unquote(host) or "localhost", default
    if not port.isascii() or not port.isdigit() or not 0 < int(port) <= 65_535:
        raise ConfigurationError(
            "rabbitmq.url must have a port from 1 to 65535. After a password, write `@` and the host: "
            "amqp://user:password@host:5672/"
        )
    return unquote(host) or "localhost", int(port)
