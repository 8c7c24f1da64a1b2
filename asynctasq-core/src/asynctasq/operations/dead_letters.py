"""`App.dead_letters`: look at what failed for good, send it again, or delete it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Unpack

from asynctasq.contracts.capabilities import (
    Capability,
    DeadLetter,
    Page,
    Snapshot,
    SupportsDeadLetters,
    SupportsInspect,
    SupportsResults,
    require,
)
from asynctasq.contracts.driver import Driver
from asynctasq.message import Message, State, id_from_text
from asynctasq.operations.batches import in_batches
from asynctasq.operations.filters import DeadLetterFilter, dead_letter_check, seconds
from asynctasq.operations.paging import Read, all_items, check_limit, filled_page
from asynctasq.operations.views import (
    Arguments,
    RetryOutcome,
    TaskInfo,
    info_of_dead_letter,
)
from asynctasq.serializers.codec import Codec
from asynctasq.settlement import Reason


class DeadLetters:
    """The messages in a store that will not be tried again.

    Each call raises `CapabilityMissing` if the driver keeps none, and `DriverError`.
    """

    def __init__(self, driver: Callable[[], Awaitable[Driver]], codec: Codec) -> None:
        self._driver = driver
        self._codec = codec

    async def page(
        self, *, limit: int = 100, cursor: str | None = None, **wanted: Unpack[DeadLetterFilter]
    ) -> Page[TaskInfo]:
        """Up to `limit` dead letters, the newest first.

        Args:
            limit: at least 1.
            cursor: of the page before.
            **wanted: see `DeadLetterFilter`. All but `queue` and `since` is looked for by reading.

        Raises:
            ValueError: the limit is below 1.
        """
        check_limit(limit)
        read = _reading(await self._store("Listing dead letters"), wanted)
        page = await filled_page(read, dead_letter_check(wanted), limit=limit, cursor=cursor)
        return Page([info_of_dead_letter(letter) for letter in page.items], page.cursor)

    def each(self, **wanted: Unpack[DeadLetterFilter]) -> AsyncIterator[TaskInfo]:
        """All dead letters that `page` would show, page by page."""
        return all_items(lambda limit, cursor: self.page(limit=limit, cursor=cursor, **wanted))

    async def reasons(self, task_ids: Iterable[str]) -> list[Reason | None]:
        """Why each is dead, in order; None where it is not dead or the driver cannot tell.

        Raises:
            ValueError: an id is no UUID.
        """
        driver = await self._driver()
        if not isinstance(driver, SupportsResults) or Capability.RESULTS not in driver.capabilities:
            return [None for _ in task_ids]
        outcomes = await in_batches(task_ids, driver.results)
        return [None if outcome is None else outcome.reason for outcome in outcomes]

    async def retry(
        self,
        task_ids: Iterable[str],
        *,
        per_second: float | None = None,
        on_progress: Callable[[Sequence[RetryOutcome]], object] | None = None,
    ) -> list[RetryOutcome]:
        """Make dead letters ready again, with no attempts counted; what became of each, in order.

        They are sent batch by batch. Cancelling this call, or an error, ends it between two batches:
        what `on_progress` was told of is done, the rest has not been touched.

        Args:
            task_ids: those of dead letters.
            per_second: the most that are retried in a second; None for as fast as it goes.
            on_progress: told after each batch what became of it.

        Raises:
            ValueError: an id is no UUID, or the rate is not above 0.
        """
        store = await self._store("Retrying dead letters")

        async def act(batch: Sequence[bytes]) -> list[RetryOutcome]:
            return await self._outcomes(batch, await store.requeue(batch))

        return await in_batches(task_ids, act, per_second=per_second, on_progress=on_progress)

    async def retry_edited(
        self,
        task_id: str,
        *,
        arguments: Arguments | None = None,
        queue: str | None = None,
        priority: int | None = None,
        max_attempts: int | None = None,
    ) -> RetryOutcome:
        """Change a dead letter, and make it ready again, in one step. What is None stays as it is.

        Args:
            task_id: of a dead letter.
            arguments: all of them, in place of the ones it has; see `Tasks.get`.
            queue: to move it to.
            priority: 0 to 9; 9 comes first.
            max_attempts: runs in all.

        Raises:
            BodyError: its body cannot be read here, and the arguments are to be changed.
            NotSerializable: an argument cannot travel.
            ValueError: the id is no UUID.
        """
        message_id = id_from_text(task_id)
        store = await self._store("Retrying dead letters")
        inspected = require(
            await self._driver(), Capability.INSPECT, SupportsInspect, purpose="Editing a message"
        )
        [snapshot] = await inspected.find([message_id])
        if snapshot is None or snapshot.state is not State.DEAD:
            return RetryOutcome.UNKNOWN if snapshot is None else RetryOutcome.NOT_DEAD
        if not snapshot.message.task:
            return RetryOutcome.UNREADABLE
        given = {"queue": queue, "priority": priority, "max_attempts": max_attempts}
        changes: dict[str, Any] = {
            name: value for name, value in given.items() if value is not None
        }
        if arguments is not None:
            changes["body"] = self._with_arguments(snapshot.message, arguments)
        done = await store.requeue_edited(replace(snapshot.message, **changes))
        return (await self._outcomes([message_id], [done]))[0]

    async def delete(
        self,
        task_ids: Iterable[str],
        *,
        on_progress: Callable[[Sequence[bool]], object] | None = None,
    ) -> list[bool]:
        """Delete dead letters for good; False where there was none of that id. Batches as `retry`.

        Raises:
            ValueError: an id is no UUID.
        """
        store = await self._store("Deleting dead letters")
        return await in_batches(task_ids, store.delete_dead, on_progress=on_progress)

    def _with_arguments(self, message: Message, arguments: Arguments) -> bytes:
        return self._codec.replace_arguments(
            message.body, arguments.positional, arguments.named, task=message.task
        )

    async def _outcomes(self, ids: Sequence[bytes], retried: Sequence[bool]) -> list[RetryOutcome]:
        """Why the ones that were not retried were not."""
        outcomes = [RetryOutcome.RETRIED if done else RetryOutcome.UNKNOWN for done in retried]
        refused = [place for place, done in enumerate(retried) if not done]
        driver = await self._driver()
        if refused and isinstance(driver, SupportsInspect):
            found = await driver.find([ids[place] for place in refused])
            for place, snapshot in zip(refused, found, strict=True):
                if snapshot is not None:
                    outcomes[place] = _why_not(snapshot)
        return outcomes

    async def _store(self, purpose: str) -> SupportsDeadLetters:
        return require(
            await self._driver(), Capability.DEAD_LETTERS, SupportsDeadLetters, purpose=purpose
        )


def _why_not(snapshot: Snapshot) -> RetryOutcome:
    """Say why a store did not retry a message that it knows."""
    if snapshot.state is not State.DEAD:
        return RetryOutcome.NOT_DEAD
    return RetryOutcome.UNREADABLE if snapshot.message.unique is None else RetryOutcome.KEY_HELD


def _reading(store: SupportsDeadLetters, wanted: DeadLetterFilter) -> Read[DeadLetter]:
    """Reads pages of one queue or all, and ends where they get too old."""
    since = seconds(wanted.get("since"))

    async def read(limit: int, cursor: str | None) -> Page[DeadLetter]:
        page = await store.dead_letters(queue=wanted.get("queue"), limit=limit, cursor=cursor)
        if since is None or not page.items or page.items[-1].died_at >= since:
            return page
        return Page([letter for letter in page.items if letter.died_at >= since])

    return read
