"""Connections: how commands travel to one server, or to the nodes of a cluster."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Protocol

import redis.exceptions as client

from asynctasq.errors import DriverError
from asynctasq_redis.connecting import (
    Argument,
    WireMaker,
    cluster_client,
    drop_wire,
    node_maker,
    pack_command,
)
from asynctasq_redis.faults import FAILURES, is_demoted
from asynctasq_redis.lines import Line, new_line
from asynctasq_redis.settings import RedisSettings


class Commands(Protocol):
    """Whatever sends a command and gives its answer."""

    async def execute(self, *command: Argument, again: bool = True) -> Any: ...

    async def execute_and_wait(
        self, replicas: int, milliseconds: int, *command: Argument, again: bool
    ) -> tuple[Any, int]: ...

    async def line_for_messages(self) -> Line: ...

    async def close(self) -> None: ...

    def drop(self) -> None: ...


class Connections:
    """Lines to one server, each used by one call at a time and kept for the next."""

    def __init__(self, maker: WireMaker, limit: int, timeout: float) -> None:
        self._maker = maker
        self._timeout = timeout
        self._free: list[Line] = []
        self._all: set[Line] = set()
        self._permits = asyncio.Semaphore(limit)

    async def execute(self, *command: Argument, again: bool = True) -> Any:
        """One command, one answer. `again` says whether it may be sent twice."""
        [answer] = await self._exchange(pack_command(command), 1, again=again)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def execute_and_wait(
        self, replicas: int, milliseconds: int, *command: Argument, again: bool
    ) -> tuple[Any, int]:
        """One command, and how many replicas have what it changed."""
        packed = pack_command(command) + pack_command(("WAIT", replicas, milliseconds))
        answer, reached = await self._exchange(packed, 2, again=again)
        for each in (answer, reached):
            if isinstance(each, Exception):
                raise each
        return answer, reached

    async def _exchange(self, packed: bytes, expected: int, *, again: bool) -> list[Any]:
        async with self._permits:
            line = await self._used_before()
            if line is not None:
                try:
                    return await self._exchange_on(line, packed, expected)
                except client.ConnectionError:
                    if not again:
                        raise
                    # It may have been closed while nobody used it, and so may the others.
                    await self._close_free()
            async with asyncio.timeout(self._timeout):
                line = await new_line(self._maker)
            self._all.add(line)
            return await self._exchange_on(line, packed, expected)

    async def _used_before(self) -> Line | None:
        """A free line that has not been closed while nobody used it, as far as the loop has heard."""
        while self._free:
            line = self._free.pop()
            if not line.lost.done():
                return line
            await self._close([line])
        return None

    async def _exchange_on(self, line: Line, packed: bytes, expected: int) -> list[Any]:
        try:
            answers = await line.ask(packed, expected, self._timeout)
        except BaseException:
            await self._close([line])
            raise
        self._free.append(line)
        if any(isinstance(answer, Exception) and is_demoted(answer) for answer in answers):
            # It has become a replica: the next connections go to the new primary.
            await self._close_free()
        return answers

    async def line_for_messages(self) -> Line:
        """One that the caller uses and closes."""
        return await new_line(self._maker)

    async def _close_free(self) -> None:
        free, self._free = self._free, []
        await self._close(free)

    async def _close(self, lines: Iterable[Line]) -> None:
        for line in list(lines):
            self._all.discard(line)
            with suppress(*FAILURES):
                await line.close()

    async def close(self) -> None:
        self._free = []
        await self._close(self._all)
        await self._maker.close()

    def drop(self) -> None:
        """Close what can be closed where the loop is gone."""
        for line in self._all:
            line.drop()
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

    async def line_for_messages(self) -> Line:
        """To any node: a cluster passes messages on to all."""
        await self._client.initialize()
        failure: Exception = client.ConnectionError("the cluster has no nodes")
        for node in self._client.get_primaries():
            maker = node_maker(self._settings, self._address, str(node.host), int(node.port))
            try:
                return await new_line(maker)
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
