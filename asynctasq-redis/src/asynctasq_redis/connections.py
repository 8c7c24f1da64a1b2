"""Connections to the server: sending commands, and following the server when it moves."""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any

import redis.exceptions as client

from asynctasq_redis.connectors import Connector
from asynctasq_redis.errors import Closed, is_elsewhere
from asynctasq_redis.pipeline import Pipeline
from asynctasq_redis.wires import Argument, pack_command


class Connections:
    """Connections to one server. Each serves one call at a time, and is kept for the next call."""

    def __init__(self, connector: Connector, limit: int, timeout: float) -> None:
        self._connector = connector
        self._timeout = timeout
        self._free: list[Pipeline] = []
        self._all: set[Pipeline] = set()
        self._permits = asyncio.Semaphore(limit)
        self._closed = False

    async def execute(self, *command: Argument, again: bool = True) -> Any:
        """Send one command and return its answer. `again` says whether it may be sent twice."""
        [answer] = await self._followed(pack_command(command), 1, again=again)
        return answer

    async def execute_and_wait(
        self, replicas: int, milliseconds: int, *command: Argument, again: bool
    ) -> tuple[Any, int]:
        """Send one command; return its answer and the number of replicas that have its changes."""
        packed = pack_command(command) + pack_command(("WAIT", replicas, milliseconds))
        answer, reached = await self._followed(packed, 2, again=again)
        return answer, reached

    async def _followed(self, packed: bytes, expected: int, *, again: bool) -> list[Any]:
        """Return the answers, from another node of the cluster if our keys have moved there."""
        answers = await self._exchange(packed, expected, again=again)
        if self._connector.moves and isinstance(
            answers[0], client.MovedError
        ):  # nothing was executed
            answers = await self._exchange(packed, expected, again=again)
            if isinstance(answers[0], client.MovedError):
                raise client.ClusterDownError("the slot is being moved")
        for each in answers:
            if isinstance(each, Exception):
                raise each
        return answers

    async def _exchange(self, packed: bytes, expected: int, *, again: bool) -> list[Any]:
        async with self._permits:
            self._check_open()
            pipeline = await self._used_before()
            if pipeline is not None:
                try:
                    return await self._exchange_on(pipeline, packed, expected)
                except client.ConnectionError:
                    if not again:
                        raise
                    # The server may have closed it while it was idle, and the others too.
                    await self._close_free()
            pipeline = await self._connected()
            return await self._exchange_on(pipeline, packed, expected)

    async def _connected(self) -> Pipeline:
        self._check_open()
        try:
            async with asyncio.timeout(self._timeout):
                pipeline = await self._connector.connect()
            self._all.add(pipeline)
        finally:
            if self._closed:  # while this connected: `close` has not seen it
                await self.close()
        self._check_open()
        return pipeline

    def _check_open(self) -> None:
        if self._closed:
            raise Closed

    async def _used_before(self) -> Pipeline | None:
        """Return a free connection that has not been closed while it was idle, as far as the loop knows."""
        while self._free:
            pipeline = self._free.pop()
            if not pipeline.lost.done():
                return pipeline
            await self._close([pipeline])
        return None

    async def _exchange_on(self, pipeline: Pipeline, packed: bytes, expected: int) -> list[Any]:
        try:
            answers = await pipeline.ask(packed, expected, self._timeout)
        except BaseException:
            await self._close([pipeline])
            raise
        self._free.append(pipeline)
        if any(isinstance(answer, Exception) and is_elsewhere(answer) for answer in answers):
            # It has become a replica, or has lost our slot: the next connections go to the new place.
            self._connector.forget()
            await self._close_free()
        return answers

    async def pipeline_for_messages(self) -> Pipeline:
        """Return a connection that the caller uses and closes."""
        return await self._connector.connect()

    async def _close_free(self) -> None:
        free, self._free = self._free, []
        await self._close(free)

    async def _close(self, pipelines: Iterable[Pipeline]) -> None:
        """Close every one of them, even if this is cancelled."""
        async with AsyncExitStack() as stack:
            for pipeline in list(pipelines):
                self._all.discard(pipeline)
                stack.push_async_callback(pipeline.close)

    async def close(self) -> None:
        """Fail the calls that are under way and all later ones, and close all connections."""
        self._closed = True
        self._free = []
        try:
            await self._close(self._all)
        finally:
            await self._connector.close()

    def drop(self) -> None:
        """Close the sockets of a loop that is closed."""
        self._closed = True
        for pipeline in self._all:
            pipeline.drop()
        self._all.clear()
        self._free = []
        self._connector.drop()
