"""The use of one store by one driver: its connections, its namespace and the names of its queues."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from asynctasq.contracts.capabilities import NEWS_KEPT, News
from asynctasq.driverkit.outages import UpkeepMark
from asynctasq.errors import DriverError
from asynctasq_mysql.clients import Row, Wire
from asynctasq_mysql.connections import Connections
from asynctasq_mysql.hinting import SearchHints
from asynctasq_mysql.settings import NAME_LIMIT, MySQLSettings
from asynctasq_mysql.statements import Statements, in_list, value_rows
from asynctasq_mysql.steps import Script, Steps, run_steps

T = TypeVar("T")

QUEUES_REMEMBERED = 10_000


def name_bytes(name: str) -> bytes:
    """Return a name as it is stored.

    Raises:
        DriverError: it is too long.
    """
    data = name.encode("utf-8", "surrogatepass")
    if len(data) > NAME_LIMIT:
        raise DriverError(
            f"A name must have at most {NAME_LIMIT} bytes, got {len(data)}. Shorten it."
        )
    return data


def name_text(data: bytes) -> str:
    """Return a name that was stored, also if it is damaged."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "backslashreplace")


def _by_name(rows: Iterable[Row], keys: Mapping[bytes, str]) -> dict[str, int]:
    return {keys[bytes(row[1])]: int(row[0]) for row in rows}


class Store:
    """The part of a driver that is open."""

    def __init__(self, connections: Connections, namespace: int, offset: int, packet: int) -> None:
        self.connections = connections
        self.settings: MySQLSettings = connections.settings
        self.sql: Statements = connections.statements
        self.namespace = namespace
        self.offset = offset
        """Microseconds that are added to the time of the server."""
        self.largest = max((packet - (64 << 10)) // 2, 1 << 16)
        """Bytes of the largest value that fits into a packet."""
        self.version = 0
        """That of the tables."""
        self.facts_added = 0
        """Facts about messages of a broker since the last look for those whose time is over."""
        self.identity = b""
        """The ID of the database, which tells it from copies of it."""
        self.mark: UpkeepMark | None = None
        """The mark of the upkeep as this driver last read or wrote it."""
        self.dead_since_prune = self.settings.dead_letter_limit
        """Dead letters made since they were last counted; at first, as many as may be kept."""
        self.forgot_at = 0
        """When this driver last looked for records whose time is over."""
        self.hints = SearchHints()
        self.news = deque[News](maxlen=NEWS_KEPT)
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}

    async def run(self, *texts: str) -> list[Sequence[Row]]:
        """Execute statements in one round trip, each in a separate transaction; return their rows."""

        async def body(wire: Wire) -> list[Sequence[Row]]:
            return [answer.rows for answer in await wire.run(*texts)]

        return await self.connections.call(body)

    async def transact(self, steps: Callable[[], Steps[T]], *, again: bool = True) -> T:
        """Run a call in a transaction, from its beginning again if the server undoes it."""

        async def body(wire: Wire) -> T:
            return await run_steps(wire, steps())

        return await self.connections.call(body, again=again)

    async def call(self, body: Callable[[Wire], Awaitable[T]], *, again: bool = True) -> T:
        """Return the answer of `body`; see `Connections.call`."""
        return await self.connections.call(body, again=again)

    # Names of queues. Their numbers are never given to another queue.

    def known_numbers(self, names: Iterable[str]) -> dict[str, int]:
        """Return the numbers of those queues that this driver knows."""
        return {name: self._numbers[name] for name in names if name in self._numbers}

    async def numbers(self, names: Iterable[str], *, creates: bool = False) -> dict[str, int]:
        """Return the numbers of queues, in the order of their names; without those that were never used.

        Args:
            names: of queues.
            creates: True to give a number to each that has none.
        """
        wanted = list(dict.fromkeys(names))
        found = self.known_numbers(wanted)
        unknown = [name for name in wanted if name not in found]
        if unknown:
            if creates:
                found |= await self.transact(lambda: self.number_steps(unknown))
            else:
                keys = {name_bytes(name): name for name in unknown}
                [rows] = await self.run(self._look_for(keys))
                found |= _by_name(rows, keys)
            for name in unknown:
                if name in found:
                    self._remember(found[name], name)
        return {name: found[name] for name in wanted if name in found}

    def number_steps(self, names: Sequence[str]) -> Steps[dict[str, int]]:
        """Look up the numbers of queues, and make those that are missing."""
        keys = {name_bytes(name): name for name in names}
        [answer] = yield Script([self._look_for(keys)])
        found = _by_name(answer.rows, keys)
        missing = sorted(key for key, name in keys.items() if name not in found)
        if missing:
            rows = value_rows((self.namespace, key) for key in missing)
            added = self.sql.store["added_queues"](namespace=self.namespace, names=in_list(missing))
            _, answer = yield Script([self.sql.store["add_queues"](rows=rows), added])
            found |= _by_name(answer.rows, keys)
        return found

    def _look_for(self, keys: Iterable[bytes]) -> str:
        return self.sql.store["queues_by_name"](namespace=self.namespace, names=in_list(keys))

    async def names(self, numbers: Iterable[int]) -> Mapping[int, str]:
        """Return the names of queues by number; without those that do not exist."""
        unknown = {number for number in numbers if number not in self._names}
        if unknown:
            [rows] = await self.run(
                self.sql.store["queues_by_number"](numbers=in_list(sorted(unknown)))
            )
            for number, name in rows:
                assert isinstance(number, int)
                assert isinstance(name, bytes)
                self._remember(number, name_text(name))
        return self._names

    def _remember(self, number: int, name: str) -> None:
        if len(self._numbers) >= QUEUES_REMEMBERED:
            self._numbers.clear()
            self._names.clear()
        self._numbers[name] = number
        self._names[number] = name
