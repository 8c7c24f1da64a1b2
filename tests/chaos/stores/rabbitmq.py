"""RabbitMQ as the store of a storm: one server behind a proxy, with state in an SQLite file, or alone."""

import asyncio
import random
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import aio_pika

from asynctasq.conformance import TcpProxy
from asynctasq.contracts.capabilities import DeadLetter
from asynctasq.errors import DriverUnavailable
from asynctasq.message import id_from_text
from tests.chaos.ends import read_ends
from tests.chaos.faults.descriptors import DESCRIPTORS
from tests.chaos.faults.fault import PROCESSES, Lanes
from tests.chaos.faults.outages import ANSWERS, HANGS
from tests.chaos.faults.signals import SIGNALS
from tests.chaos.faults.starts import STARTS
from tests.chaos.kinds import OWN_QUEUES, QUEUES, End, Kind, mixed
from tests.chaos.ledger import read_log
from tests.chaos.stores.rabbitmq_faults import RABBITMQ_STORE
from tests.chaos.stores.sqlite import STATEMENTS, SqliteStore
from tests.chaos.stores.store import NAMESPACE, Damage, Store
from tests.chaos.workload import Entry
from tests.servers.rabbitmq import RabbitmqServer, rabbitmq_process

SETTINGS = "queue_type=classic&priorities=true&heartbeat=2&timeout=3&connect_timeout=2"
IN_STATE = frozenset({"once", "unique", "replacing"})
"""Kinds of tasks that the state store holds."""
WITHOUT_STATE = frozenset(
    {
        "plain",
        "delayed",
        "prioritized",
        "threaded",
        "flaky",
        "snoozing",
        "computing",
        "computing_async",
        "expiring",
        "rejected",
        "blocking",
        "hogging",
        "exits_worker",
        "exits_child",
        "killed_child",
        "growing_child",
        "hanging",
    }
)
"""Kinds of tasks that need no state store."""
POLL_SECONDS = 0.1


class RabbitmqStore(Store):
    """One server, and a state store in a file."""

    kind = "rabbitmq"
    keeps_tokens = False
    keeps_ends = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.state = SqliteStore(folder / "state")
        self._stack = ExitStack()
        self.server: RabbitmqServer
        self.proxy: TcpProxy

    @property
    def broker(self) -> str:
        """The URL of the broker, as processes of the storm reach it."""
        return f"amqp://guest:guest@{self.proxy.address}/?{SETTINGS}"

    @property
    def address(self) -> str:
        return f"{self.broker} {self.state.address}"

    def start(self) -> None:
        self.server = self._stack.enter_context(rabbitmq_process())
        self.proxy = self._stack.enter_context(TcpProxy(self.server.url()))

    def stop(self) -> None:
        self.server.resume()
        self._stack.close()

    def crash(self) -> None:
        """Kill the server."""
        self.server.kill()

    def restart(self) -> None:
        """Start the server on its files."""
        self.server.start()

    def faults(self) -> Lanes:
        return {
            PROCESSES: [*SIGNALS, *STARTS, *DESCRIPTORS],
            "store": [HANGS, *RABBITMQ_STORE],
            "partial": [STATEMENTS, ANSWERS],
        }

    async def hang(self, seconds: float) -> None:
        self.server.suspend()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.server.resume()

    async def damage(self, chance: random.Random) -> Damage | None:
        """Do nothing: a message in a queue cannot be overwritten."""

    async def write_nonsense(self, chance: random.Random) -> None:
        async with await aio_pika.connect(self.server.url()) as connection:
            channel = await connection.channel()
            await channel.default_exchange.publish(
                aio_pika.Message(chance.randbytes(chance.randrange(100))), f"{NAMESPACE}.q.low"
            )

    async def calm(self) -> None:
        self.server.resume()
        self.proxy.thaw()
        self.proxy.accept()

    def full(self, driver: Any) -> Any:
        return driver.state

    async def not_ended(self, driver: Any, entries: Sequence[Entry]) -> int:
        waiting = await _ready(driver)
        for queue in (*QUEUES, *OWN_QUEUES):
            counts = await driver.state.count(queue)
            waiting += counts.scheduled + counts.leased
        if waiting:
            return waiting
        of_broker = [each.message for each in entries if each.kind.name not in IN_STATE]
        return len(set(of_broker)) - len(await read_ends(driver, set(of_broker)))

    async def check_counts(self, driver: Any, letters: Sequence[DeadLetter]) -> list[str]:
        counted = [await driver.count(queue) for queue in (*QUEUES, *OWN_QUEUES)]
        dead = sum(each.dead for each in counted)
        problems = [f"{each} is still counted" for each in counted if each.ready or each.leased]
        if dead != len(letters):
            problems.append(f"{dead} dead letters are counted, and {len(letters)} are listed")
        return problems

    async def leftovers(self) -> list[str]:
        return [*await self.state.leftovers(), *await self._messages_of_server()]

    async def _messages_of_server(self) -> list[str]:
        counts = (
            "[{binary_to_list(element(4, amqqueue:get_name(Q))), N} || Q <- rabbit_amqqueue:list(), "
            "{messages, N} <- rabbit_amqqueue:info(Q, [messages]), N > 0]"
        )
        found = await asyncio.to_thread(self.server.evaluate, counts)
        return [] if found == "[]" else [f"messages in queues {found}"]


class RabbitmqAloneStore(RabbitmqStore):
    """One server without a state store: the ledger alone knows what has ended."""

    kind = "rabbitmq-alone"
    keeps_ends = False
    has_outcomes = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._dead: dict[str, str] = {}

    @property
    def address(self) -> str:
        return self.broker

    def kinds(self, number: int, seed: int) -> list[Kind]:
        return [each for each in mixed(2 * number, seed) if each.name in WITHOUT_STATE][:number]

    def faults(self) -> Lanes:
        return {**super().faults(), "partial": [ANSWERS]}

    async def not_ended(self, driver: Any, entries: Sequence[Entry]) -> int:
        waiting = await _ready(driver)
        if waiting:
            return waiting
        messages = {each.message for each in entries}
        return len(messages) - len(await self.ends(driver, messages))

    async def ends(self, driver: Any, messages: Iterable[str]) -> dict[str, str]:
        """Return the end of each message: its effect, or the reason of its dead letter."""
        await self._receive_dead()
        ended = await asyncio.to_thread(self._ended)
        reasons = {each: self._dead[each] for each in messages if each in self._dead}
        return reasons | {each: End.EFFECT for each in messages if each in ended}

    def _ended(self) -> set[str]:
        """Return the messages whose effect is in the ledger."""
        return {message for message, runs in read_log(self.folder.parent).ended.items() if runs}

    async def _receive_dead(self) -> None:
        """Note the dead letters, and remove them from the broker."""
        async with await aio_pika.connect(self.server.url()) as connection:
            channel = await connection.channel()
            for queue in (*QUEUES, *OWN_QUEUES):
                name = f"{NAMESPACE}.dead.{queue}"
                with suppress(aio_pika.exceptions.ChannelNotFoundEntity):
                    dead = await (await connection.channel()).get_queue(name)
                    while (letter := await dead.get(fail=False)) is not None:
                        message = id_from_text(letter.message_id or "").hex()
                        self._dead[message] = str(letter.headers["x-asynctasq-reason"])
                        await letter.ack()
            await channel.close()

    async def letters(self, driver: Any) -> list[DeadLetter]:
        return []

    async def await_all(self, handles: Sequence[Any]) -> None:
        wanted = {id_from_text(each).hex() for each in handles}
        while not wanted <= await asyncio.to_thread(self._ended):
            await asyncio.sleep(POLL_SECONDS)

    async def leftovers(self) -> list[str]:
        return await self._messages_of_server()


async def _ready(driver: Any) -> int:
    """Return the number of messages that are ready in either store; 1 if that cannot be learned."""
    try:
        counts = [await driver.count(queue) for queue in (*QUEUES, *OWN_QUEUES)]
    except DriverUnavailable:
        return 1
    return sum(each.ready for each in counts)
