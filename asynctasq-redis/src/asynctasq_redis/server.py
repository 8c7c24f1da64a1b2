"""The server of one opened driver: running scripts, and warnings about its configuration."""

import asyncio
import logging
import os
import re
from typing import Any

import redis.exceptions as client

from asynctasq.errors import DriverUnavailable
from asynctasq_redis.codec import FORMAT
from asynctasq_redis.connections import Connections
from asynctasq_redis.connectors import connector
from asynctasq_redis.errors import FAILURES, translated
from asynctasq_redis.probing import probe
from asynctasq_redis.scripts import script
from asynctasq_redis.settings import RedisSettings
from asynctasq_redis.wires import Argument

log = logging.getLogger("asynctasq.redis")

ADDING = frozenset({"enqueue", "enqueue_one", "requeue", "edit", "fire", "put_schedules"})
"""Scripts that add messages or schedules: a full server refuses these with an error that users see."""
REPLICATED = ADDING | {"settle", "change_schedules"}
"""Scripts after which `wait_replicas` waits."""
NOT_AGAIN = frozenset(
    {"settle", "cancel", "requeue", "delete_dead", "purge", "fire", "change_schedules", "publish"}
)
"""Scripts with another answer the second time: only their caller can decide to repeat them."""
EVICTION_SAFE = "noeviction"
EVICTS_EXPIRING = "evicts results, known ids and unique keys before they expire"
_POLICY = re.compile(rb"maxmemory_policy:([a-z-]+)")


class Server:
    """Runs scripts for one opened driver."""

    def __init__(self, settings: RedisSettings, place: str) -> None:
        self.settings = settings
        self.place = place
        self.prefix = f"{{{settings.namespace}}}:{FORMAT}:".encode()
        self.process = os.getpid()
        self.loop = asyncio.get_running_loop()
        self.connections = Connections(
            connector(settings, self.prefix), settings.max_connections, settings.timeout
        )

    async def greet(self) -> None:
        """Check that the server can run every script, and warn if its configuration is dangerous.

        Raises:
            DriverError: the server refuses the user, or lacks a command, which the message names.
            DriverUnavailable: the server cannot be reached.
        """
        try:
            await probe(self.connections, self.prefix, self.settings, self.place)
        except FAILURES as error:
            raise translated(error, self.place) from error
        try:
            report = await self.connections.execute("INFO", "memory")
        except FAILURES:
            return  # forbidden to this user
        found = _POLICY.search(report)
        policy = found[1].decode() if found else EVICTION_SAFE
        if policy != EVICTION_SAFE:
            log.warning(
                "Redis at %s has the maxmemory-policy %s and %s when it is full. Set the policy to "
                "noeviction.",
                self.place,
                policy,
                EVICTS_EXPIRING if policy.startswith("volatile") else "deletes messages",
            )

    async def run(self, name: str, *arguments: Argument) -> Any:
        """Run a script.

        Raises:
            DriverError: the server refused it, or cannot be reached (`DriverUnavailable`).
        """
        known = script(name)
        try:
            try:
                return await self._send(name, "EVALSHA", known.digest, 1, self.prefix, *arguments)
            except client.NoScriptError:
                return await self._send(name, "EVAL", known.source, 1, self.prefix, *arguments)
        except FAILURES as error:
            raise translated(
                error, self.place, adds=name in ADDING, settles=name == "settle"
            ) from error

    async def command(self, *command: Argument) -> Any:
        """Send a plain command. Raises as `run` does."""
        try:
            return await self.connections.execute(*command)
        except FAILURES as error:
            raise translated(error, self.place) from error

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
                f"The Redis at {self.place} has replicated this to {reached} instead of {replicas} "
                f"replicas within {self.settings.wait_replicas_timeout} s (`wait_replicas`)."
            )
        return answer

    async def close(self) -> None:
        if self.loop is asyncio.get_running_loop():
            await self.connections.close()
        else:
            self.connections.drop()
