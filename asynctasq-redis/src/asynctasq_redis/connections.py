"""Connections: how commands travel to the server, and what becomes of those that it cannot take."""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any

import redis.exceptions as client

from asynctasq_redis.connect import Dialer
from asynctasq_redis.connecting import Argument, pack_command
from asynctasq_redis.errors import Closed, is_elsewhere
from asynctasq_redis.pipeline import Line


class Connections:
    """Lines to one server, each used by one call at a time and kept for the next."""

    def __init__(self, dialer: Dialer, limit: int, timeout: float) -> None:
        self._dialer = dialer
        self._timeout = timeout
        self._free: list[Line] = []
        self._all: set[Line] = set()
        self._permits = asyncio.Semaphore(limit)
        self._closed = False

    async def execute(self, *command: Argument, again: bool = True) -> Any:
        """One command, one answer. `again` says whether it may be sent twice."""
        [answer] = await self._followed(pack_command(command), 1, again=again)
        return answer

    async def execute_and_wait(
        self, replicas: int, milliseconds: int, *command: Argument, again: bool
    ) -> tuple[Any, int]:
        """One command, and how many replicas have what it changed."""
        packed = pack_command(command) + pack_command(("WAIT", replicas, milliseconds))
        answer, reached = await self._followed(packed, 2, again=again)
        return answer, reached

    async def _followed(self, packed: bytes, expected: int, *, again: bool) -> list[Any]:
        """Answers, from another node of the cluster if our keys have moved there."""
        answers = await self._exchange(packed, expected, again=again)
        if self._dialer.moves and isinstance(answers[0], client.MovedError):  # nothing was done
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
            line = await self._used_before()
            if line is not None:
                try:
                    return await self._exchange_on(line, packed, expected)
                except client.ConnectionError:
                    if not again:
                        raise
                    # It may have been closed while nobody used it, and so may the others.
                    await self._close_free()
            line = await self._dialed()
            return await self._exchange_on(line, packed, expected)

    async def _dialed(self) -> Line:
        self._check_open()
        try:
            async with asyncio.timeout(self._timeout):
                line = await self._dialer.line()
            self._all.add(line)
        finally:
            if self._closed:  # meanwhile: of what was made since, nobody else knows
                await self.close()
        self._check_open()
        return line

    def _check_open(self) -> None:
        if self._closed:
            raise Closed

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
        if any(isinstance(answer, Exception) and is_elsewhere(answer) for answer in answers):
            # It has become a replica, or gave our slot away: the next lines go to the new place.
            self._dialer.forget()
            await self._close_free()
        return answers

    async def line_for_messages(self) -> Line:
        """One that the caller uses and closes."""
        return await self._dialer.line()

    async def _close_free(self) -> None:
        free, self._free = self._free, []
        await self._close(free)

    async def _close(self, lines: Iterable[Line]) -> None:
        """Every one, even where this is cancelled."""
        async with AsyncExitStack() as stack:
            for line in list(lines):
                self._all.discard(line)
                stack.push_async_callback(line.close)

    async def close(self) -> None:
        """Fail the calls that are under way, and all that follow; close all lines."""
        self._closed = True
        self._free = []
        try:
            await self._close(self._all)
        finally:
            await self._dialer.close()

    def drop(self) -> None:
        """Close what can be closed where the loop is gone."""
        self._closed = True
        for line in self._all:
            line.drop()
        self._all.clear()
        self._free = []
        self._dialer.drop()
