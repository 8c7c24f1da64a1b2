"""Wires: connections of redis-py for an address, to one server or to the one that sentinels name."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, cast

import hiredis
from redis.asyncio.connection import (
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from asynctasq.errors import ConfigurationError
from asynctasq_redis.addresses import SENTINEL, Address
from asynctasq_redis.settings import RedisSettings


class Wire(Protocol):
    """The part of redis-py's connections that the driver uses."""

    @property
    def is_connected(self) -> bool: ...

    async def connect(self) -> None: ...

    async def disconnect(self, nowait: bool = False) -> None: ...


SHORTEST_PATIENCE_SECONDS = 0.5

Argument = bytes | str | int | float

pack_command: Callable[[tuple[Argument, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # its own annotation allows one argument
"""Return a command as it is sent."""


class WireMaker:
    """Makes connections that are not connected yet. The driver keeps them itself, so it needs no pool."""

    def __init__(self, pool: Any, sentinels: Sequence[Any] = ()) -> None:
        self._pool = pool
        self._sentinels = sentinels
        """Clients of the sentinels, which know where the server is."""

    def make(self) -> Wire:
        wire: Wire = self._pool.make_connection()
        return wire

    async def close(self) -> None:
        try:
            for sentinel in self._sentinels:
                with suppress(RedisError, OSError):
                    await sentinel.aclose()
        finally:  # the await above may have been cancelled
            for wire in self._kept():
                end_wire(wire)

    def drop(self) -> None:
        """Close the sockets of a loop that is closed."""
        for wire in self._kept():
            drop_wire(wire)

    def _kept(self) -> list[Any]:
        """Return the connections to sentinels."""
        pools = [sentinel.connection_pool for sentinel in self._sentinels]
        return [wire for pool in pools for wire in pool._available_connections]


def wire_maker(settings: RedisSettings, address: Address) -> WireMaker:
    """Return the maker of connections to the server."""
    options: dict[str, Any] = {**_options(settings, address), "db": address.db or 0}
    if address.path:  # there is no network, so nothing to keep alive
        return WireMaker(ConnectionPool(UnixDomainSocketConnection, path=address.path, **options))
    if address.kind != SENTINEL:
        host, port = address.hosts[0]
        return node_maker(settings, address, host, port, db=address.db or 0)
    patience = patience_with_one_of(len(address.hosts), settings)
    reach: dict[str, Any] = {
        "username": settings.sentinel_username,
        "password": settings.sentinel_password,
        "socket_timeout": patience,
        "socket_connect_timeout": patience,
        "retry": Retry(NoBackoff(), 0),
    }
    options["socket_keepalive"] = True
    if address.tls:
        tls = {"ssl": True, **_tls_options(settings)}
        reach |= tls
        options |= tls
    # redis-py leaves these two without types.
    sentinels = cast("Any", Sentinel)(list(address.hosts), sentinel_kwargs=reach)
    pool = cast("Any", SentinelConnectionPool)(address.service, sentinels, **options)
    # Concurrent look-ups may drop one from redis-py's own list, which it reorders as they go.
    return WireMaker(pool, tuple(sentinels.sentinels))


def patience_with_one_of(count: int, settings: RedisSettings) -> float:
    """Return the seconds for each of several servers, so that those that hang leave time for the others."""
    share = max(settings.timeout / (count + 1), SHORTEST_PATIENCE_SECONDS)
    return min(settings.connect_timeout, share)


def node_maker(
    settings: RedisSettings, address: Address, host: str, port: int, *, db: int = 0
) -> WireMaker:
    """Return the maker of connections to one server, such as a node of a cluster."""
    options = _options(settings, address)
    options |= {"host": host, "port": port, "db": db, "socket_keepalive": True}
    if address.tls:
        return WireMaker(ConnectionPool(SSLConnection, **options, **_tls_options(settings)))
    return WireMaker(ConnectionPool(Connection, **options))


def transport_of(wire: Any) -> asyncio.Transport:
    """Return the transport of a connection."""
    transport: asyncio.Transport = wire._writer.transport
    return transport


def end_wire(wire: Any) -> Any:
    """Close a connection without waiting; the loop processes that in its next iteration.

    redis-py has no public method for this. Without these attributes, Python only warns of open sockets.

    Returns:
        Its transport, if it was connected.
    """
    writer = getattr(wire, "_writer", None)
    wire._reader = wire._writer = None
    if writer is None:
        return None
    with suppress(RuntimeError):  # its loop is closed; the transport is marked as closed anyway
        writer.transport.abort()
    return writer.transport


def drop_wire(wire: Any) -> None:
    """Close a connection whose loop is closed, so that nothing warns of its socket later."""
    transport = end_wire(wire)
    kept = getattr(transport, "_sock", None)
    if kept is not None:
        kept.close()
        transport._sock = None


def _options(settings: RedisSettings, address: Address) -> dict[str, Any]:
    """Return the options of every connection. Core repeats calls, so the client must not."""
    return {
        "username": address.username,
        "password": address.password,
        "socket_timeout": None,  # the driver has a cheaper timeout for its calls
        "socket_connect_timeout": settings.connect_timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "client_name": "asynctasq",
    }


def check_tls(settings: RedisSettings) -> None:
    """Read the files of TLS, so that errors in them are raised at once and calls are not repeated.

    Raises:
        ConfigurationError: a file cannot be read, or has other contents.
    """
    ca, certificate, key = settings.tls_ca, settings.tls_certificate, settings.tls_key
    if key and not certificate:
        raise ConfigurationError(
            "redis.tls_certificate must be set if redis.tls_key is. Set it to the file of that key's "
            "certificate."
        )
    for name, file in (("tls_ca", ca), ("tls_certificate", certificate), ("tls_key", key)):
        try:
            if file:
                Path(file).read_bytes()
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"redis.{name} must be a PEM file that can be read, got {file!r} ({error})."
            ) from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if ca:
            context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"redis.tls_ca must be a PEM file of certificates, got {ca!r} ({error})."
        ) from error
    try:
        if certificate:  # without a password, OpenSSL would ask for one at the terminal
            context.load_cert_chain(certificate, key or None, password="")
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"redis.tls_certificate and redis.tls_key must be PEM files of a certificate and of its key "
            f"without a password, got {certificate!r} and {key!r} ({error})."
        ) from error


def _tls_options(settings: RedisSettings) -> dict[str, Any]:
    """Return the additional options of connections with TLS."""
    return {
        "ssl_ca_certs": settings.tls_ca,
        "ssl_certfile": settings.tls_certificate,
        "ssl_keyfile": settings.tls_key,
        "ssl_cert_reqs": "required" if settings.tls_verify else "none",
        "ssl_check_hostname": settings.tls_verify,
    }
