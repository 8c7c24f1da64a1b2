"""Seeded bugs in the outbox of the sqlite driver: each breaks a rule that the conformance suite must check."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from asynctasq.contracts.capabilities.outbox import (
    OutboxEntry,
    OutboxRow,
    OutboxState,
    Refusal,
)
from asynctasq.contracts.capabilities.paging import Page
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.drivers.sqlite.outbox import SqliteOutbox

MUTANTS: list[type[SqliteOutbox]] = []


def mutant(broken: type[SqliteOutbox]) -> type[SqliteOutbox]:
    """Register an outbox with a bug."""
    MUTANTS.append(broken)
    return broken


def driver_with(broken: type[SqliteOutbox]) -> Callable[..., SqliteDriver]:
    """Return a driver class whose outbox has the bug."""

    def outbox(self: Any) -> SqliteOutbox:
        return broken(self.settings, self.clock_offset)

    return type(broken.__name__, (SqliteDriver,), {"outbox": outbox})


@mutant
class NoHold(SqliteOutbox):
    """Every relay takes the rows of a target."""

    async def take(
        self, target: str, *, holder: bytes, lease: float, limit: int
    ) -> list[OutboxRow]:
        return await super().take(target, holder=b"the same for all", lease=lease, limit=limit)


@mutant
class HoldsForever(SqliteOutbox):
    """The hold of a relay that died does not end."""

    async def take(
        self, target: str, *, holder: bytes, lease: float, limit: int
    ) -> list[OutboxRow]:
        return await super().take(target, holder=holder, lease=lease * 2, limit=limit)


@mutant
class NeverReleases(SqliteOutbox):
    """A release is without effect."""

    async def release(self, target: str, *, holder: bytes) -> None:
        pass


@mutant
class AnyoneReleases(SqliteOutbox):
    """A relay releases the target of another one."""

    async def release(self, target: str, *, holder: bytes) -> None:
        await self._write(
            lambda connection: connection.execute("DELETE FROM asynctasq_outbox_relays")
        )


@mutant
class Forgetful(SqliteOutbox):
    """A row that was taken is gone, although it may not have been sent."""

    async def take(
        self, target: str, *, holder: bytes, lease: float, limit: int
    ) -> list[OutboxRow]:
        rows = await super().take(target, holder=holder, lease=lease, limit=limit)
        await self.delete([row.id for row in rows])
        return rows


@mutant
class OneTarget(SqliteOutbox):
    """Targets differ in more than the case of their letters, or are one."""

    async def add(self, entries: Sequence[OutboxEntry]) -> list[bool]:
        return await super().add([replace(each, target=each.target.lower()) for each in entries])

    async def take(
        self, target: str, *, holder: bytes, lease: float, limit: int
    ) -> list[OutboxRow]:
        return await super().take(target.lower(), holder=holder, lease=lease, limit=limit)


@mutant
class LastFirst(SqliteOutbox):
    """Rows are taken in any order."""

    async def take(
        self, target: str, *, holder: bytes, lease: float, limit: int
    ) -> list[OutboxRow]:
        return (await super().take(target, holder=holder, lease=lease, limit=limit))[::-1]


@mutant
class Unlimited(SqliteOutbox):
    """The limit of a take is ignored."""

    async def take(
        self, target: str, *, holder: bytes, lease: float, limit: int
    ) -> list[OutboxRow]:
        return await super().take(target, holder=holder, lease=lease, limit=1000)


@mutant
class SaysNew(SqliteOutbox):
    """A row that was there already is reported as added."""

    async def add(self, entries: Sequence[OutboxEntry]) -> list[bool]:
        return [True for _ in await super().add(entries)]


@mutant
class NoPause(SqliteOutbox):
    """A refused row is tried again at once."""

    async def refuse(self, refusals: Sequence[Refusal]) -> None:
        await super().refuse([replace(each, retry_in=each.retry_in and 0.0) for each in refusals])


@mutant
class NeverSetsAside(SqliteOutbox):
    """A row that was set aside is tried again."""

    async def refuse(self, refusals: Sequence[Refusal]) -> None:
        await super().refuse([replace(each, retry_in=each.retry_in or 0.0) for each in refusals])


@mutant
class KeepsAttempts(SqliteOutbox):
    """A retry does not count attempts from zero."""

    async def retry(self, ids: Sequence[bytes]) -> list[bool]:
        answers = await super().retry(ids)
        await self._write(
            lambda connection: connection.execute("UPDATE asynctasq_outbox SET attempts = 2")
        )
        return answers


@mutant
class DoesNotCount(SqliteOutbox):
    """Rows that are set aside count as waiting."""

    async def state(self) -> OutboxState:
        found = await super().state()
        return replace(found, waiting=found.waiting + found.set_aside, set_aside=0)


@mutant
class Young(SqliteOutbox):
    """The oldest row has no age."""

    async def state(self) -> OutboxState:
        return replace(await super().state(), oldest=0.0)


@mutant
class WholePages(SqliteOutbox):
    """A listing ignores its cursor."""

    async def rows(
        self, *, set_aside: bool | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[OutboxRow]:
        return await super().rows(set_aside=set_aside, limit=limit)


@mutant
class Unfiltered(SqliteOutbox):
    """A listing shows all rows."""

    async def rows(
        self, *, set_aside: bool | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[OutboxRow]:
        return await super().rows(limit=limit, cursor=cursor)


@mutant
class Greedy(SqliteOutbox):
    """A take reads any number of bytes."""

    def _read(self, *args: Any, more: bool = False, **named: Any) -> Any:
        connection, name, values, _ = args
        return super()._read(connection, name, values, BYTES_AT_ONCE * 9, more=more, **named)


@mutant
class Recreates(SqliteOutbox):
    """A migration empties the outbox."""

    async def migrate(self, *, dry_run: bool = False) -> Sequence[str]:
        if (await self.schema()).current and not dry_run:
            await self._write(lambda connection: connection.execute("DELETE FROM asynctasq_outbox"))
        return await super().migrate(dry_run=dry_run)
