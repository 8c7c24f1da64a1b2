"""Redis as the store of a storm: one server behind a proxy, whose clock can jump."""

import asyncio
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import redis

from asynctasq.conformance import TcpProxy
from asynctasq_redis import RedisDriver
from tests.chaos.faults.clocks import CLOCKS
from tests.chaos.faults.descriptors import DESCRIPTORS
from tests.chaos.faults.fault import PROCESSES, Lanes
from tests.chaos.faults.outages import ANSWERS, HANGS
from tests.chaos.faults.records import RECORDS
from tests.chaos.faults.servers import SERVER_CLOCK
from tests.chaos.faults.signals import SIGNALS
from tests.chaos.faults.starts import STARTS
from tests.chaos.kinds import OWN_QUEUES, QUEUES
from tests.chaos.stores.faketime import FakeClock
from tests.chaos.stores.redis_faults import REDIS_PARTIAL, REDIS_STORE
from tests.chaos.stores.store import NAMESPACE, Damage, Store, garbage
from tests.servers.redis import RedisServer, lasting_keys

T = TypeVar("T")

USER = ("storm", "on", ">storm", "~*", "&*", "+@all")
"""As whom workers and dispatchers log in: faults take rights from this user only."""
LASTING = ("--appendonly", "yes", "--appendfsync", "always", "--user", *USER)
PREFIX = f"{{{NAMESPACE}}}:2:".encode()
_HEAD_BYTES = 55
"""The head of a message in its key, whose fields have fixed places."""
_OVERWRITE = """\
local value = redis.call('GET', KEYS[1])
if not value or string.byte(value, 1) ~= 1 then return 0 end
local leased = redis.call('HEXISTS', KEYS[2], ARGV[1])
local kept = tonumber(ARGV[2])
redis.call('SET', KEYS[1], string.sub(value, 1, kept) .. ARGV[3])
return leased == 1 and 2 or 1
"""
UPKEEPS = 20
"""Reserves that forget owners, and the names of queues that are empty."""
QUIET_SECONDS = 3.5
"""After which the store has forgotten everyone who waited for work."""


class RedisStore(Store):
    """One server."""

    kind = "redis"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.server = RedisServer(folder / "server", *LASTING)
        self.proxy = TcpProxy(self.server.url)
        self.clock = FakeClock(folder / "clock")
        if self.clock.problem:
            self.skipped.append(f"{SERVER_CLOCK.name} ({self.clock.problem})")

    @property
    def address(self) -> str:
        return f"redis://storm:storm@{self.proxy.address}/0?timeout=1.5"

    def start(self) -> None:
        self.server.process.environment = self.clock.environment()
        self.server.start()
        self.proxy.__enter__()

    def stop(self) -> None:
        self.server.process.resume()
        self.proxy.__exit__(None, None, None)
        self.server.stop()

    def crash(self) -> None:
        """Kill the server."""
        self.server.process.stop(signal.SIGKILL)

    def restart(self) -> None:
        """Start the server on its files."""
        self.server.restart()

    def faults(self) -> Lanes:
        clocks = CLOCKS if self.clock.problem else (*CLOCKS, SERVER_CLOCK)
        return {
            PROCESSES: [*SIGNALS, *STARTS, *DESCRIPTORS],
            "store": [HANGS, *REDIS_STORE, *clocks],
            "partial": [*REDIS_PARTIAL, ANSWERS, RECORDS],
        }

    async def hang(self, seconds: float) -> None:
        """Stop the server, as a machine does that swaps or is suspended."""
        self.server.process.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.server.process.resume()

    async def ask(self, question: Callable[["redis.Redis"], T]) -> T:
        """Ask the server as its operator, and repeat it until it answers."""
        return await asyncio.to_thread(self._ask, question)

    def _ask(self, question: Callable[["redis.Redis"], T]) -> T:
        while True:
            try:
                with redis.Redis.from_url(
                    self.server.url, protocol=2, socket_timeout=2.0
                ) as client:
                    return question(client)
            except (redis.ConnectionError, redis.TimeoutError):
                time.sleep(0.1)

    async def set_user(self, *rules: str) -> None:
        """Change what a user may do: its name, then rules."""

        def change(client: Any) -> None:
            client.execute_command("ACL", "SETUSER", *rules)

        await self.ask(change)

    async def damage(self, chance: random.Random) -> Damage | None:
        message = await self.ask(lambda client: _any_message(client, chance))
        if message is None:
            return None
        kept, rest, how = chance.choice(
            [
                (0, b"", "empty"),
                (chance.randrange(1, _HEAD_BYTES), b"", "cut short"),
                (_HEAD_BYTES, b"", "cut behind its head"),
                (0, b"\xff" + garbage(chance, 80), "random bytes"),
                (1, garbage(chance, 100), "random bytes behind its state"),
                (_HEAD_BYTES, b"\xc1" * 60, "head kept, nonsense behind"),
            ]
        )
        keys = (PREFIX + b"m:" + message, PREFIX + b"leases")
        state: Any = await self.ask(
            lambda client: client.eval(_OVERWRITE, 2, *keys, message, kept, rest)
        )
        # Random bytes may happen to be a message; the others never are.
        must_die = state == 1 and kept != 1
        return Damage(message.hex(), how, must_die=must_die) if state else None

    async def write_nonsense(self, chance: random.Random) -> None:
        message = chance.randbytes(chance.choice([16, 16, 16, 5]))
        value = chance.choice(
            [
                b"",
                b"\x01",
                b"\x01" * 10,
                chance.randbytes(60),
                b"\x01\x00" + chance.randbytes(60),
                b"\x01\x02" + chance.randbytes(55) + b"\xff" * 8,
                b"\x02" + chance.randbytes(80),
                b"\x01\x00" + b"\0" * 50,
            ]
        )
        where = chance.choice([b"r:low", b"s5:low", b"leases"])

        def write(client: "redis.Redis") -> None:
            client.set(PREFIX + b"m:" + message, value)
            if where == b"leases":
                client.hset(PREFIX + where, message, b"short")
            else:
                client.zadd(PREFIX + where, {message: chance.choice([0, 1e15, -1])})

        await self.ask(write)

    async def calm(self) -> None:
        self.server.process.resume()
        self.proxy.thaw()
        self.proxy.accept()
        self.clock.jump(0.0)
        await self.set_user(*USER)
        await self.ask(lambda client: client.config_set("maxmemory", "0"))

    async def leftovers(self) -> list[str]:
        """Look at the keys that do not expire."""
        driver = RedisDriver(self.address)
        await driver.open()
        try:
            for _ in range(UPKEEPS):
                await driver.reserve(
                    dict.fromkeys((*QUEUES, *OWN_QUEUES), 1), limit=1, owner="upkeep", lease=0.1
                )
                await asyncio.sleep(0.1)
        finally:
            await driver.close()
        await asyncio.sleep(QUIET_SECONDS)
        return await self.ask(lambda client: lasting_keys(client, NAMESPACE))


def _any_message(client: "redis.Redis", chance: random.Random) -> bytes | None:
    """Return the ID of a message that is ready, scheduled or leased."""
    sets = [PREFIX + f"r:{queue}".encode() for queue in QUEUES]
    sets += [PREFIX + f"s{n}:{queue}".encode() for queue in QUEUES for n in range(10)]
    asked: list[Callable[[], Any]] = [
        *(lambda key=key: client.zrandmember(key) for key in sets),
        *[lambda: client.hrandfield(PREFIX + b"leases")] * len(QUEUES),
    ]
    chance.shuffle(asked)
    for each in asked:
        if found := each():
            return bytes(found)
    return None
