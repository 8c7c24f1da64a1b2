"""Making connections of redis-py for an address: to one server, or to one that sentinels name."""

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
    """What is used of redis-py's connections."""

    @property
    def is_connected(self) -> bool: ...

    async def connect(self) -> None: ...

    async def disconnect(self, nowait: bool = False) -> None: ...


SHORTEST_PATIENCE_SECONDS = 0.5

Argument = bytes | str | int | float

pack_command: Callable[[tuple[Argument, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # its own annotation allows one argument
"""A command as it is sent."""


class WireMaker:
    """Makes unconnected connections: all that pools are used for, for the driver keeps them itself."""

    def __init__(self, pool: Any, sentinels: Sequence[Any] = ()) -> None:
        self._pool = pool
        self._sentinels = sentinels
        """Clients that are asked where the server is."""

    def make(self) -> Wire:
        wire: Wire = self._pool.make_connection()
        return wire

    async def close(self) -> None:
        try:
            for sentinel in self._sentinels:
                with suppress(RedisError, OSError):
                    await sentinel.aclose()
        finally:  # which may have been cancelled
            for wire in self._kept():
                end_wire(wire)

    def drop(self) -> None:
        """Close what can be closed where the loop is gone."""
        for wire in self._kept():
            drop_wire(wire)

    def _kept(self) -> list[Any]:
        """What is connected to sentinels."""
        pools = [sentinel.connection_pool for sentinel in self._sentinels]
        return [wire for pool in pools for wire in pool._available_connections]


def wire_maker(settings: RedisSettings, address: Address) -> WireMaker:
    """What makes connections to the server."""
    options: dict[str, Any] = {**_options(settings, address), "db": address.db or 0}
    if address.path:  # no network between, so nothing to keep alive
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
    """Seconds for one of so many that may be asked: those that hang leave time for the others."""
    share = max(settings.timeout / (count + 1), SHORTEST_PATIENCE_SECONDS)
    return min(settings.connect_timeout, share)


def node_maker(
    settings: RedisSettings, address: Address, host: str, port: int, *, db: int = 0
) -> WireMaker:
    """What makes connections to one server, a node of a cluster perhaps."""
    options = _options(settings, address)
    options |= {"host": host, "port": port, "db": db, "socket_keepalive": True}
    if address.tls:
        return WireMaker(ConnectionPool(SSLConnection, **options, **_tls_options(settings)))
    return WireMaker(ConnectionPool(Connection, **options))


def transport_of(wire: Any) -> asyncio.Transport:
    """What a connection sends and receives by."""
    transport: asyncio.Transport = wire._writer.transport
    return transport


def end_wire(wire: Any) -> Any:
    """End a connection without waiting for anything; the loop hears of it in its next turn.

    Nothing public does that; where these attributes are gone, Python warns, and no more.

    Returns:
        Its transport, if it was connected.
    """
    writer = getattr(wire, "_writer", None)
    wire._reader = wire._writer = None
    if writer is None:
        return None
    with suppress(RuntimeError):  # its loop is closed; but the transport knows now that it is
        writer.transport.abort()
    return writer.transport


def drop_wire(wire: Any) -> None:
    """End a connection whose loop is gone, so that nothing warns of its socket later."""
    transport = end_wire(wire)
    kept = getattr(transport, "_sock", None)
    if kept is not None:
        kept.close()
        transport._sock = None


def _options(settings: RedisSettings, address: Address) -> dict[str, Any]:
    """What every connection is made with. Repeating is core's business, not the client's."""
    return {
        "username": address.username,
        "password": address.password,
        "socket_timeout": None,  # calls have a timeout of their own, which costs less
        "socket_connect_timeout": settings.connect_timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "client_name": "asynctasq",
    }


def check_tls(settings: RedisSettings) -> None:
    """Read the files of TLS: what is wrong with them is told at once, and not repeated.

    Raises:
        ConfigurationError: one of them cannot be read, or is something else.
    """
    ca, certificate, key = settings.tls_ca, settings.tls_certificate, settings.tls_key
    if key and not certificate:
        raise ConfigurationError(
            "redis.tls_key is set, but not redis.tls_certificate. Name the certificate of that key."
        )
    for name, file in (("tls_ca", ca), ("tls_certificate", certificate), ("tls_key", key)):
        try:
            if file:
                Path(file).read_bytes()
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"redis.{name} is {file!r}, which cannot be read ({error}). It is a PEM file."
            ) from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if ca:
            context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"redis.tls_ca is {ca!r}, which is no PEM file of certificates ({error})."
        ) from error
    try:
        if certificate:  # for a password OpenSSL would ask at the terminal
            context.load_cert_chain(certificate, key or None, password="")
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"redis.tls_certificate is {certificate!r} and redis.tls_key {key!r}, which are no PEM files "
            f"of a certificate and of its key without a password ({error})."
        ) from error


def _tls_options(settings: RedisSettings) -> dict[str, Any]:
    """What connections by TLS are made with in addition."""
    return {
        "ssl_ca_certs": settings.tls_ca,
        "ssl_certfile": settings.tls_certificate,
        "ssl_keyfile": settings.tls_key,
        "ssl_cert_reqs": "required" if settings.tls_verify else "none",
        "ssl_check_hostname": settings.tls_verify,
    }
