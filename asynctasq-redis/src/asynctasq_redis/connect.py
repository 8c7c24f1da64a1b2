"""Dialing: how a line is made to one server, to whom sentinels name, or to the right node of a cluster."""

import asyncio
from typing import Any, Protocol

import redis.exceptions as client
from redis.crc import key_slot

from asynctasq_redis.addresses import CLUSTER
from asynctasq_redis.connecting import (
    WireMaker,
    check_tls,
    node_maker,
    pack_command,
    patience_with_one_of,
    wire_maker,
)
from asynctasq_redis.errors import FAILURES
from asynctasq_redis.pipeline import Line, new_line
from asynctasq_redis.settings import RedisSettings

Node = tuple[str, int]
"""Host and port."""


class Dialer(Protocol):
    """Makes lines to where our keys are."""

    moves: bool
    """Whether that may be another place from one moment to the next."""

    async def line(self) -> Line:
        """A new one, which the caller closes."""
        ...

    def forget(self) -> None:
        """Our keys are not where the last lines led to."""
        ...

    async def close(self) -> None: ...

    def drop(self) -> None:
        """Close what can be closed where the loop is gone."""
        ...


class ServerDialer:
    """For one server; redis-py asks sentinels anew for each connection."""

    moves = False

    def __init__(self, maker: WireMaker) -> None:
        self._maker = maker

    async def line(self) -> Line:
        return await new_line(self._maker)

    def forget(self) -> None:
        """Every line is made anew as it is."""

    async def close(self) -> None:
        await self._maker.close()

    def drop(self) -> None:
        self._maker.drop()


class ClusterDialer:
    """For the node of a cluster that has our slot: all keys of a namespace are in one.

    While that slot is being moved, calls fail until it has arrived. They must not follow as single keys
    could: the keys that a script meets would be here and there.
    """

    moves = True

    def __init__(self, settings: RedisSettings, prefix: bytes) -> None:
        self._settings = settings
        self._address = settings.address()
        self._slot = key_slot(prefix)
        self._known: dict[Node, None] = dict.fromkeys(self._address.hosts)
        """Whom to ask, in order."""
        self._owner: Node | None = None

    async def line(self) -> Line:
        if self._owner is None:
            self._owner = await self._locate()
        try:
            return await self._to(self._owner)
        except FAILURES:
            self._owner = None  # another may have taken its place
            raise

    def forget(self) -> None:
        self._owner = None

    async def close(self) -> None:
        """Nothing is kept."""

    def drop(self) -> None:
        """Nothing is kept."""

    async def _locate(self) -> Node:
        failure: Exception = client.ClusterDownError("no node of the cluster answers")
        patience = patience_with_one_of(len(self._known), self._settings)
        for node in list(self._known):
            # Behind all others unless it answers: when time is up, the next look begins with another.
            del self._known[node]
            self._known[node] = None
            try:
                async with asyncio.timeout(patience):
                    found = await self._ask(node)
            except FAILURES as error:
                failure = error
            else:
                self._known = {node: None, **self._known}
                return found
        raise failure

    async def _ask(self, node: Node) -> Node:
        line = await self._to(node)
        try:
            command = pack_command(("CLUSTER", "SLOTS"))
            [slots] = await line.ask(command, 1, self._settings.timeout)
        finally:
            await line.close()
        if isinstance(slots, Exception):
            raise slots
        found: Node | None = None
        for first, last, (host, port, *_), *_replicas in slots:
            owner = (_text(host) or node[0], int(port))
            self._known.setdefault(owner)
            if first <= self._slot <= last:
                found = owner
        if found is None:
            raise client.ClusterDownError(f"no node has the slot {self._slot}")
        return found

    async def _to(self, node: Node) -> Line:
        return await new_line(node_maker(self._settings, self._address, *node))


def dialer(settings: RedisSettings, prefix: bytes) -> Dialer:
    """For the address in the settings.

    Raises:
        ConfigurationError: the files for TLS cannot be used.
    """
    address = settings.address()
    if address.tls:
        check_tls(settings)
    if address.kind == CLUSTER:
        return ClusterDialer(settings, prefix)
    return ServerDialer(wire_maker(settings, address))


def _text(host: Any) -> str:
    """The name of a node; nothing where it means the one by which it was asked, or knows none."""
    return host.decode() if isinstance(host, bytes) and host != b"?" else ""
