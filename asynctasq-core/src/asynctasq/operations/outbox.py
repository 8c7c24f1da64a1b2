"""`App.outbox`: list, retry and delete messages that wait in the outbox."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from asynctasq.contracts.capabilities.outbox import Outbox, OutboxRow, OutboxState
from asynctasq.contracts.capabilities.paging import Page
from asynctasq.driverkit.packing import unpack_message
from asynctasq.errors import BodyCorrupt
from asynctasq.message import Message, id_to_text
from asynctasq.operations.audit import Audit
from asynctasq.operations.paging import all_items, check_limit
from asynctasq.records import record

if TYPE_CHECKING:
    from asynctasq.dispatch.outbox import AppOutbox


@record
class OutboxMessage:
    """A message that waits in the outbox until a relay has sent it to its store."""

    id: str
    """ID of the task."""
    store: str
    """The store that it is for; empty for the app's own store."""
    message: Message | None
    """The message; None if its row is damaged."""
    age: float
    """Seconds since it was dispatched."""
    attempts: int
    """How often its store has refused it while it accepted other messages."""
    error: str
    """The error of the last refusal."""
    retry_in: float | None
    """Seconds until it is sent again; None if it was set aside."""

    @property
    def is_set_aside(self) -> bool:
        """True if it is not sent again until an operator retries it."""
        return self.retry_in is None


class OutboxMessages:
    """The messages in the outbox of an app.

    Each call connects to the database of the setting `outbox`, and raises `DriverError` if that refused or could
    not be reached.
    """

    def __init__(self, app_outbox: "AppOutbox", audit: Audit) -> None:
        self._app_outbox = app_outbox
        self._audit = audit

    @property
    def place(self) -> str:
        """The database, without its password."""
        return self._app_outbox.description

    def create_statements(self) -> Sequence[str]:
        """Return the statements that create the tables, for a tool that manages the schema of your database."""
        return self._app_outbox.new().create_statements()

    async def state(self) -> OutboxState:
        """Return the number of messages and the age of the oldest one."""
        async with self._opened() as outbox:
            return await outbox.state()

    async def page(
        self, *, set_aside: bool | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[OutboxMessage]:
        """Return up to `limit` messages, the oldest first.

        Args:
            set_aside: True for messages that were set aside, False for those that wait, None for both.
            limit: at least 1.
            cursor: the cursor of the page before.

        Raises:
            ValueError: the limit is below 1.
        """
        check_limit(limit)
        async with self._opened() as outbox:
            page = await outbox.rows(set_aside=set_aside, limit=limit, cursor=cursor)
        return Page([_message_of(row) for row in page.items], page.cursor)

    def each(self, *, set_aside: bool | None = None) -> AsyncIterator[OutboxMessage]:
        """Iterate over all messages that `page` returns, page by page."""
        return all_items(
            lambda limit, cursor: self.page(set_aside=set_aside, limit=limit, cursor=cursor)
        )

    async def retry(
        self,
        task_ids: Iterable[str],
        *,
        on_progress: Callable[[Sequence[bool]], object] | None = None,
    ) -> list[bool]:
        """Have messages sent at once, with attempts counted from zero; False for an ID that is not there.

        Raises:
            ValueError: an ID is not a UUID.
        """
        return await self._in_batches("retried", task_ids, lambda outbox: outbox.retry, on_progress)

    async def delete(
        self,
        task_ids: Iterable[str],
        *,
        on_progress: Callable[[Sequence[bool]], object] | None = None,
    ) -> list[bool]:
        """Delete messages for good, so that they are never sent; False for an ID that is not there.

        A message that a relay sends at this moment may still arrive.

        Raises:
            ValueError: an ID is not a UUID.
        """
        return await self._in_batches(
            "deleted", task_ids, lambda outbox: outbox.delete, on_progress
        )

    async def _in_batches(
        self,
        outcome: str,
        task_ids: Iterable[str],
        method: Callable[[Outbox], Callable[[Sequence[bytes]], Awaitable[list[bool]]]],
        on_progress: Callable[[Sequence[bool]], object] | None,
    ) -> list[bool]:
        async with self._opened() as outbox:
            return await self._audit.in_batches(
                "outbox.retry" if outcome == "retried" else "outbox.delete",
                task_ids,
                method(outbox),
                lambda done: outcome if done else "unknown",
                on_progress=on_progress,
            )

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Outbox]:
        outbox = await self._app_outbox.open()
        try:
            yield outbox
        finally:
            await outbox.close()


def _message_of(row: OutboxRow) -> OutboxMessage:
    try:
        message = unpack_message(row.message)
    except BodyCorrupt:
        message = None
    return OutboxMessage(
        id=id_to_text(row.id),
        store=row.target,
        message=message,
        age=row.age,
        attempts=row.attempts,
        error=row.error,
        retry_in=row.retry_in,
    )
