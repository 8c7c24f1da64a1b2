"""The server as one opened driver sees it: connections, and scripts run on them."""

import asyncio
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Protocol

import redis.exceptions as client

from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq_redis.addresses import CLUSTER
from asynctasq_redis.connecting import (
    Argument,
    Wire,
    WireMaker,
    cluster_client,
    drop_wire,
    node_maker,
    pack_command,
    was_closed,
    wire_maker,
)
from asynctasq_redis.faults import is_demoted, translated
from asynctasq_redis.scripts import script
from asynctasq_redis.settings import RedisSettings

log = logging.getLogger("asynctasq.redis")

ADDING = frozenset({"enqueue", "requeue"})
"""Scripts that a full server is to refuse with an error that users see."""
REPLICATED = frozenset({"enqueue", "requeue", "settle"})
"""Scripts after which `wait_replicas` waits."""
NOT_AGAIN = frozenset({"settle", "cancel", "requeue", "delete_dead", "purge"})
"""Scripts that answer otherwise the second time: only their caller knows whether to repeat them."""
EVICTION_SAFE = "noeviction"
FAILURES = (client.RedisError, client.RedisClusterException, OSError)


class Commands(Protocol):
    """Whatever sends a command and gives its answer."""

    async def execute(self, *command: Argument, again: bool = True) -> Any: ...

    async def execute_and_wait(
        self, replicas: int, milliseconds: int, *command: Argument, again: bool
    ) -> tuple[Any, int]: ...

    async def connect_for_messages(self) -> Wire: ...

    async def close(self) -> None: ...

    def drop(self) -> None: ...


async def connected(maker: WireMaker) -> Wire:
    """A new connection, which the caller disconnects; nothing is left open where it fails."""
    connection = maker.make()
    try:
        await connection.connect()
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    return connection


class Connections:
    """Connections to one server, each used by one call at a time and kept for the next."""

    def __init__(self, maker: WireMaker, limit: int, timeout: float) -> None:
        self._maker = maker
        self._timeout = timeout
        self._free: list[Wire] = []
        self._all: set[Wire] = set()
        self._permits = asyncio.Semaphore(limit)

    async def execute(self, *command: Argument, again: bool = True) -> Any:
        """One command, one answer. `again` says whether it may be sent twice."""
        answers = await self._exchange(command, again=again)
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

    async def execute_and_wait(
        self, replicas: int, milliseconds: int, *command: Argument, again: bool
    ) -> tuple[Any, int]:
        """One command, and how many replicas have what it changed."""
        wait = ("WAIT", replicas, milliseconds)
        answer, reached = await self._exchange(command, wait, again=again)
        for each in (answer, reached):
            if isinstance(each, Exception):
                raise each
        return answer, reached

    async def _exchange(self, *commands: tuple[Argument, ...], again: bool) -> list[Any]:
        packed = b"".join(pack_command(command) for command in commands)
        async with self._permits:
            connection = await self._used_before(check=not again)
            if connection is not None:
                try:
                    return await self._exchange_on(connection, packed, len(commands))
                except client.ConnectionError:
                    if not again:
                        raise
                    # It may have been closed while nobody used it, and so may the others.
                    free, self._free = self._free, []
                    await self._disconnect(free)
            connection = self._maker.make()
            self._all.add(connection)
            return await self._exchange_on(connection, packed, len(commands))

    async def _used_before(self, *, check: bool) -> Wire | None:
        """A free connection, on demand one that has not been closed while nobody used it."""
        while self._free:
            connection = self._free.pop()
            if not (check and was_closed(connection)):
                return connection
            await self._disconnect([connection])
        return None

    async def _exchange_on(self, connection: Wire, packed: bytes, expected: int) -> list[Any]:
        answers: list[Any] = []
        whole = False
        try:
            async with asyncio.timeout(self._timeout):
                if not connection.is_connected:
                    await connection.connect()
                await connection.send_packed_command(packed, check_health=False)
                for _ in range(expected):
                    try:
                        answers.append(await connection.read_response())
                    except client.ResponseError as error:
                        answers.append(error)
            whole = True
        finally:
            if whole:
                self._free.append(connection)
            else:
                await self._disconnect([connection])
        if any(isinstance(answer, Exception) and is_demoted(answer) for answer in answers):
            # It has become a replica: the next connections go to the new primary.
            free, self._free = self._free, []
            await self._disconnect(free)
        return answers

    async def connect_for_messages(self) -> Wire:
        """A connection that the caller uses and disconnects."""
        return await connected(self._maker)

    async def _disconnect(self, connections: Iterable[Wire]) -> None:
        for connection in list(connections):
            self._all.discard(connection)
            with suppress(*FAILURES):
                await connection.disconnect(nowait=True)

    async def close(self) -> None:
        self._free = []
        await self._disconnect(self._all)
        await self._maker.close()

    def drop(self) -> None:
        """Close what can be closed where the loop is gone."""
        for connection in self._all:
            drop_wire(connection)
        self._all.clear()
        self._free = []
        self._maker.drop()


class ClusterConnections:
    """Connections to all nodes of a cluster."""

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._address = settings.address()
        self._client: Any = cluster_client(settings, self._address)

    async def execute(self, *command: Argument, again: bool = True) -> Any:  # noqa: ARG002 - the cluster's client decides
        return await self._client.execute_command(*command)

    async def execute_and_wait(
        self,
        replicas: int,  # noqa: ARG002 - the settings refuse it before it comes to this
        milliseconds: int,  # noqa: ARG002 - same
        *command: Argument,  # noqa: ARG002 - same
        again: bool,  # noqa: ARG002 - same
    ) -> tuple[Any, int]:
        raise DriverError("A cluster does not wait for replicas.")

    async def connect_for_messages(self) -> Wire:
        """To any node: a cluster passes messages on to all."""
        await self._client.initialize()
        failure: Exception = client.ConnectionError("the cluster has no nodes")
        for node in self._client.get_primaries():
            maker = node_maker(self._settings, self._address, str(node.host), int(node.port))
            try:
                return await connected(maker)
            except FAILURES as error:
                failure = error
        raise failure

    async def close(self) -> None:
        with suppress(*FAILURES):
            await self._client.aclose()

    def drop(self) -> None:
        for node in self._client.get_nodes():
            for connection in getattr(node, "_connections", ()):  # nothing public does that
                drop_wire(connection)


class Server:
    """Runs scripts for one opened driver."""

    def __init__(self, settings: RedisSettings, place: str) -> None:
        self.settings = settings
        self.place = place
        self.prefix = f"{{{settings.namespace}}}:".encode()
        self.process = os.getpid()
        self.loop = asyncio.get_running_loop()
        self.connections: Commands = self._connections()

    def _connections(self) -> Commands:
        address = self.settings.address()
        if address.kind == CLUSTER:
            return ClusterConnections(self.settings)
        settings = self.settings
        maker = wire_maker(settings, address)
        return Connections(maker, settings.max_connections, settings.timeout)

    async def greet(self) -> None:
        """Make sure that the server is there, and tell what is dangerous about it."""
        try:
            await self.connections.execute("EXISTS", self.prefix + b"queues")
        except FAILURES as error:
            raise translated(error, self.place, adds=False) from error
        try:
            answer = await self.connections.execute("CONFIG", "GET", "maxmemory-policy")
        except FAILURES:
            return  # forbidden, as hosted servers do
        values = list(answer.values()) if isinstance(answer, dict) else list(answer)[1:2]
        policy = values[0] if values else EVICTION_SAFE
        policy = policy.decode() if isinstance(policy, bytes) else str(policy)
        if policy != EVICTION_SAFE:
            log.warning(
                "The Redis at %s has maxmemory-policy %s: when it is full, it deletes messages. "
                "Set it to noeviction",
                self.place,
                policy,
            )

    async def run(self, name: str, *arguments: Argument) -> Any:
        """Run a script.

        Raises:
            DriverError: the server refused, or cannot be reached (`DriverUnavailable`).
        """
        known = script(name)
        try:
            try:
                return await self._send(name, "EVALSHA", known.digest, 1, self.prefix, *arguments)
            except client.NoScriptError:
                return await self._send(name, "EVAL", known.source, 1, self.prefix, *arguments)
        except FAILURES as error:
            raise translated(error, self.place, adds=name in ADDING) from error

    async def command(self, *command: Argument) -> Any:
        """Send a plain command. Raises as `run` does."""
        try:
            return await self.connections.execute(*command)
        except FAILURES as error:
            raise translated(error, self.place, adds=False) from error

    async def _send(self, name: str, *command: Argument) -> Any:
        replicas = self.settings.wait_replicas
        again = name not in NOT_AGAIN
        if not replicas or name not in REPLICATED:
            return await self.connections.execute(*command, again=again)
        milliseconds = max(round(self.settings.wait_replicas_timeout * 1000), 1)
        answer, reached = await self.connections.execute_and_wait(
            replicas, milliseconds, *command, again=again
        )
        if reached < replicas:
            raise DriverUnavailable(
                f"The Redis at {self.place} has passed this on to {reached} instead of {replicas} "
                f"replicas within {self.settings.wait_replicas_timeout} s (`wait_replicas`)."
            )
        return answer

    async def close(self) -> None:
        if self.loop is asyncio.get_running_loop():
            await self.connections.close()
        else:
            self.connections.drop()
