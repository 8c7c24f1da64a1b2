"""`App.dead_letters`: list, retry, edit and delete tasks that failed for good."""

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
from asynctasq.operations.audit import Audit
from asynctasq.operations.batches import in_batches
from asynctasq.operations.filters import (
    DeadLetterFilter,
    dead_letter_check,
    driver_error,
    driver_pattern,
    seconds,
)
from asynctasq.operations.paging import Read, all_items, check_limit, filled_page
from asynctasq.operations.searching import searched_for_dead
from asynctasq.operations.views import (
    Arguments,
    RetryOutcome,
    TaskInfo,
    info_of_dead_letter,
)
from asynctasq.serializers.codec import Codec
from asynctasq.settlement import Reason


class DeadLetters:
    """The dead letters in a store: messages that will not be tried again.

    Each call raises `CapabilityMissing` if the driver does not keep dead letters, and `DriverError` if the
    store refused or could not be reached.
    """

    def __init__(self, driver: Callable[[], Awaitable[Driver]], codec: Codec, audit: Audit) -> None:
        self._driver = driver
        self._audit = audit
        self._codec = codec

    async def page(
        self, *, limit: int = 100, cursor: str | None = None, **wanted: Unpack[DeadLetterFilter]
    ) -> Page[TaskInfo]:
        """Return up to `limit` dead letters, the newest first.

        Args:
            limit: at least 1.
            cursor: the cursor of the page before.
            **wanted: see `DeadLetterFilter`.

        Raises:
            ValueError: the limit is below 1.
        """
        check_limit(limit)
        read = _reading(await self._store("Listing dead letters"), wanted)
        page = await filled_page(read, dead_letter_check(wanted), limit=limit, cursor=cursor)
        return Page([info_of_dead_letter(letter) for letter in page.items], page.cursor)

    def each(self, **wanted: Unpack[DeadLetterFilter]) -> AsyncIterator[TaskInfo]:
        """Iterate over all dead letters that `page` returns, page by page."""
        return all_items(lambda limit, cursor: self.page(limit=limit, cursor=cursor, **wanted))

    async def reasons(self, task_ids: Iterable[str]) -> list[Reason | None]:
        """Return why each task is dead, in order; None if it is not dead or the driver does not store it.

        Raises:
            ValueError: an id is not a UUID.
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
        """Make dead letters ready again with attempts counted from zero, and return the outcomes in order.

        They are sent batch by batch. A cancellation or an error ends the call between two batches: the
        dead letters that `on_progress` was called with are done, and the others have not been touched.

        Args:
            task_ids: the ids of dead letters.
            per_second: most dead letters to retry in a second; None for no limit.
            on_progress: called after each batch with its outcomes.

        Raises:
            ValueError: an id is not a UUID, or the rate is not greater than 0.
        """
        store = await self._store("Retrying dead letters")

        async def act(batch: Sequence[bytes]) -> list[RetryOutcome]:
            return await self._outcomes(batch, await store.requeue(batch))

        return await self._audit.in_batches(
            "dead_letters.retry",
            task_ids,
            act,
            lambda outcome: outcome.name.lower(),
            per_second=per_second,
            on_progress=on_progress,
        )

    async def retry_edited(
        self,
        task_id: str,
        *,
        arguments: Arguments | None = None,
        queue: str | None = None,
        priority: int | None = None,
        max_attempts: int | None = None,
    ) -> RetryOutcome:
        """Change a dead letter and make it ready again, in one step. Arguments that are None change nothing.

        Args:
            task_id: the id of a dead letter.
            arguments: the new arguments, all of them; see `Tasks.get`.
            queue: the new queue.
            priority: the new priority, 0 to 9; 9 runs first.
            max_attempts: most runs, the first one included.

        Raises:
            BodyError: `arguments` are given, but the body cannot be read here.
            NotSerializable: an argument cannot be serialized.
            ValueError: the id is not a UUID.
        """
        message_id = id_from_text(task_id)
        store = await self._store("Retrying dead letters")
        inspected = require(
            searched_for_dead(await self._driver()),
            Capability.INSPECT,
            SupportsInspect,
            purpose="Editing a message",
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
        [outcome] = await self._outcomes([message_id], [done])
        names = [*changes, "arguments"] if arguments is not None else [*changes]
        await self._audit.done(
            "dead_letters.retry_edited",
            {"ids": [task_id], "changes": [name for name in names if name != "body"]},
            {outcome.name.lower(): 1},
        )
        return outcome

    async def delete(
        self,
        task_ids: Iterable[str],
        *,
        on_progress: Callable[[Sequence[bool]], object] | None = None,
    ) -> list[bool]:
        """Delete dead letters for good, in batches; False for an id that is not that of a dead letter.

        Raises:
            ValueError: an id is not a UUID.
        """
        store = await self._store("Deleting dead letters")
        return await self._audit.in_batches(
            "dead_letters.delete",
            task_ids,
            store.delete_dead,
            lambda deleted: "deleted" if deleted else "unknown",
            on_progress=on_progress,
        )

    def _with_arguments(self, message: Message, arguments: Arguments) -> bytes:
        return self._codec.replace_arguments(
            message.body, arguments.positional, arguments.named, task=message.task
        )

    async def _outcomes(self, ids: Sequence[bytes], retried: Sequence[bool]) -> list[RetryOutcome]:
        """Return the outcome of each retry, and look up why some were refused."""
        outcomes = [RetryOutcome.RETRIED if done else RetryOutcome.UNKNOWN for done in retried]
        refused = [place for place, done in enumerate(retried) if not done]
        driver = searched_for_dead(await self._driver())
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
    """Return why a store did not retry a message that it knows."""
    if snapshot.state is not State.DEAD:
        return RetryOutcome.NOT_DEAD
    return RetryOutcome.UNREADABLE if snapshot.message.unique is None else RetryOutcome.KEY_HELD


def _reading(store: SupportsDeadLetters, wanted: DeadLetterFilter) -> Read[DeadLetter]:
    """Return a function that reads filtered pages, and ends at letters that are too old."""
    since = seconds(wanted.get("since"))

    async def read(limit: int, cursor: str | None) -> Page[DeadLetter]:
        page = await store.dead_letters(
            queue=wanted.get("queue"),
            task=driver_pattern(wanted.get("task")),
            reason=wanted.get("reason"),
            error=driver_error(wanted.get("error")),
            limit=limit,
            cursor=cursor,
        )
        if since is None or not page.items or page.items[-1].died_at >= since:
            return page
        return Page([letter for letter in page.items if letter.died_at >= since])

    return read
