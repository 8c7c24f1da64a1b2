"""Connectors: to one server, to the server that sentinels name, or to the right node of a cluster."""

import asyncio
from typing import Any, Protocol

import redis.exceptions as client
from redis.crc import key_slot

from asynctasq_redis.addresses import CLUSTER
from asynctasq_redis.errors import FAILURES
from asynctasq_redis.pipeline import Pipeline, new_pipeline
from asynctasq_redis.settings import RedisSettings
from asynctasq_redis.wires import (
    WireMaker,
    check_tls,
    node_maker,
    pack_command,
    patience_with_one_of,
    wire_maker,
)

Node = tuple[str, int]
"""Host and port."""


class Connector(Protocol):
    """Connects to the server that has our keys."""

    moves: bool
    """True if another server can have our keys from one moment to the next."""

    async def connect(self) -> Pipeline:
        """Return a new connection, which the caller closes."""
        ...

    def forget(self) -> None:
        """Forget where our keys are: they are not where the last connections led."""
        ...

    async def close(self) -> None:
        """Close the connections to sentinels."""
        ...

    def drop(self) -> None:
        """Close the sockets of a loop that is closed."""
        ...


class ServerConnector:
    """Connects to one server. For each connection, redis-py asks the sentinels again."""

    moves = False

    def __init__(self, maker: WireMaker) -> None:
        self._maker = maker

    async def connect(self) -> Pipeline:
        return await new_pipeline(self._maker)

    def forget(self) -> None:
        """Do nothing: each connection looks for the server again."""

    async def close(self) -> None:
        await self._maker.close()

    def drop(self) -> None:
        self._maker.drop()


class ClusterConnector:
    """Connects to the node of a cluster that has our slot. All keys of a namespace are in one slot.

    While that slot is being moved, calls fail until the move is complete. They must not follow single keys
    (ASK), because a script needs all its keys in one place.
    """

    moves = True

    def __init__(self, settings: RedisSettings, prefix: bytes) -> None:
        self._settings = settings
        self._address = settings.address()
        self._slot = key_slot(prefix)
        self._known: dict[Node, None] = dict.fromkeys(self._address.hosts)
        """The nodes to ask, in order."""
        self._owner: Node | None = None

    async def connect(self) -> Pipeline:
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
        """Do nothing: it keeps no connections."""

    def drop(self) -> None:
        """Do nothing: it keeps no connections."""

    async def _locate(self) -> Node:
        failure: Exception = client.ClusterDownError("no node of the cluster answered")
        patience = patience_with_one_of(len(self._known), self._settings)
        for node in list(self._known):
            # It goes to the end unless it answers, so that the next look begins with another node.
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
        pipeline = await self._to(node)
        try:
            command = pack_command(("CLUSTER", "SLOTS"))
            [slots] = await pipeline.ask(command, 1, self._settings.timeout)
        finally:
            await pipeline.close()
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

    async def _to(self, node: Node) -> Pipeline:
        return await new_pipeline(node_maker(self._settings, self._address, *node))


def connector(settings: RedisSettings, prefix: bytes) -> Connector:
    """Return the connector for the address in the settings.

    Raises:
        ConfigurationError: the files for TLS cannot be used.
    """
    address = settings.address()
    if address.tls:
        check_tls(settings)
    if address.kind == CLUSTER:
        return ClusterConnector(settings, prefix)
    return ServerConnector(wire_maker(settings, address))


def _text(host: Any) -> str:
    """Return the name of a node; empty if it means the name by which it was asked, or knows none."""
    return host.decode() if isinstance(host, bytes) and host != b"?" else ""
