"""What the demo shows. A scene dispatches first, before there is a worker, and watches afterwards.

Imported only when the demo's folder is in place.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from asynctasq import Handle, State, dispatch_many
from asynctasq.app import App
from asynctasq.cli.demo.screen import Row, Screen
from asynctasq.cli.demo.stage import Stage, Unexpected
from asynctasq.contracts.capabilities import (
    Capability,
    DeadLetter,
    SupportsDeadLetters,
    SupportsInspect,
    require,
)
from asynctasq.errors import TaskFailed
from asynctasq.message import id_from_text, id_to_text

if TYPE_CHECKING:
    from asynctasq.cli.demo import tasks
else:
    import tasks  # the copy in the demo's folder, under the name by which the worker imports it

T = TypeVar("T")

NAMES = [
    "Ada",
    "Grace",
    "Edsger",
    "Barbara",
    "Donald",
    "Alan",
    "Frances",
    "Dennis",
    "Radia",
    "Tony",
]
SQUARES = 500
DELAY_SECONDS = 2.0
LONG_TASKS = 20
PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.1

Watch = Callable[[Row], Awaitable[str]]
"""Follows a scene to its end, and says how it went."""


class Play:
    """One performance: what its scenes share."""

    def __init__(self, app: App, folder: Path) -> None:
        self._app = app
        self._folder = folder
        self.dispatched = 0

    @property
    def scenes(self) -> Sequence[tuple[str, Callable[[], Awaitable[Watch]]]]:
        """Title and beginning of each."""
        return [
            ("async, on the event loop", self.on_the_loop),
            ("sync, in threads", self.in_threads),
            ("hundreds at once", self.in_bulk),
            ("retried until it works", self.retried),
            ("failed for good", self.failed),
            ("progress", self.progress),
            ("delayed", self.delayed),
            ("unique", self.unique),
            ("priority", self.priority),
        ]

    async def on_the_loop(self) -> Watch:
        """A task for each of many names."""
        names = [*NAMES, *(name.upper() for name in NAMES)]
        handles = [await self._sent(tasks.greet.dispatch(name)) for name in names]

        async def watch(row: Row) -> str:
            greetings = await self._all(handles, row)
            expect(greetings == [f"Hello, {name}!" for name in names], greetings)
            return f"{len(names)} coroutines, the first returned {greetings[0]!r}"

        return watch

    async def in_threads(self) -> Watch:
        """Plain functions that block."""
        text = "nothing is lost whichever process is killed when"
        handles = [await self._sent(tasks.count_words.dispatch(text)) for _ in range(10)]

        async def watch(row: Row) -> str:
            counts = await self._all(handles, row)
            expect(counts == [8] * 10, counts)
            return f"{len(counts)} blocking functions, each counted {counts[0]} words"

        return watch

    async def in_bulk(self) -> Watch:
        """One call for many messages."""
        handles = await dispatch_many([tasks.square(number) for number in range(SQUARES)])
        self.dispatched += len(handles)

        async def watch(row: Row) -> str:
            squares = await self._all(handles, row)
            expect(squares == [number**2 for number in range(SQUARES)], squares)
            return f"{SQUARES} tasks by dispatch_many, every result is right"

        return watch

    async def retried(self) -> Watch:
        """Two failures, then success."""
        handle = await self._sent(tasks.call_service.dispatch("GET /prices"))

        async def watch(row: Row) -> str:
            result = asyncio.ensure_future(self._result(handle))
            while not result.done():
                await asyncio.wait([result], timeout=LOOK_SECONDS)
                row.tell(await self._last_error(handle))
            expect(await result == "GET /prices: answered at run 3", result)
            return "two runs raised ConnectionError, the third returned"

        return watch

    async def failed(self) -> Watch:
        """Failures until no run is left."""
        handle = await self._sent(tasks.ChargeCard(order=42, card="•••• 4242").dispatch())
        self._failing = handle

        async def watch(row: Row) -> str:
            row.tell("two runs are allowed")
            try:
                result = await self._result(handle)
            except TaskFailed as error:
                expect(error.error_type == "ValueError", error.error_type)
                notes = (self._folder / "failed.txt").read_text(encoding="utf-8").splitlines()
                expect(len(notes) == 1, notes)
                return f"two runs raised {error.error_type}, failed() was called, a dead letter is kept"
            raise Unexpected(f"it returned {result!r}")

        return watch

    async def progress(self) -> Watch:
        """A task that tells how far it is."""
        handle = await self._sent(tasks.render.dispatch(frames=30))

        async def watch(row: Row) -> str:
            result = asyncio.ensure_future(self._result(handle))
            seen: set[int] = set()
            while not result.done():
                await asyncio.wait([result], timeout=LOOK_SECONDS)
                match await handle.progress():
                    case {"frame": int(frame), "of": int(total)}:
                        seen.add(frame)
                        row.tell(f"frame {frame} of {total}", frame / total)
                    case _:
                        row.tell("has not begun")
            expect(await result == "30 frames", result)
            expect(bool(seen), "no progress was seen")
            return "30 frames, watched from this process while they were made"

        return watch

    async def delayed(self) -> Watch:
        """A task that is due later."""
        dispatched_at = time.time()
        handle = await self._sent(tasks.remind("tea").delay(DELAY_SECONDS).dispatch())

        async def watch(row: Row) -> str:
            row.tell(f"due {DELAY_SECONDS:g} s after its dispatch")
            waited = await self._result(handle) - dispatched_at
            expect(waited >= DELAY_SECONDS, f"it ran after {waited:.3f} s")
            return f"asked for {DELAY_SECONDS:g} s, ran {waited:.2f} s after its dispatch"

        return watch

    async def unique(self) -> Watch:
        """The same thing asked for several times."""
        handles = [
            await tasks.rebuild_index("toys").options(unique="index of toys").dispatch()
            for _ in range(5)
        ]
        self.dispatched += sum(handle.created for handle in handles)

        async def watch(row: Row) -> str:
            await self._all(handles, row)
            expect(len(set(handles)) == 1, handles)
            return "5 dispatches with one key: one message, 5 handles of it"

        return watch

    async def priority(self) -> Watch:
        """The last one is the most urgent."""
        handles = [await self._sent(tasks.print_letter.dispatch(name)) for name in NAMES]
        urgent = await self._sent(tasks.print_letter("Linus").options(priority=9).dispatch())

        async def watch(row: Row) -> str:
            finished = await self._all([*handles, urgent], row)
            expect(min(finished) == finished[-1], finished)
            return f"{len(finished)} in one queue: the last to come had priority 9, and ran first"

        return watch

    async def killed(self, stage: Stage, row: Row) -> str:
        """Kill the worker in the middle of its work, start another, and wait."""
        handles = await dispatch_many([tasks.long_task(number) for number in range(LONG_TASKS)])
        self.dispatched += len(handles)
        row.tell(f"{LONG_TASKS} tasks are about to run")
        await self._until_leased(handles)
        await stage.kill_worker()
        row.tell(f"SIGKILL while {LONG_TASKS} tasks ran; starting another worker")
        process = await stage.start_worker()
        row.tell(f"SIGKILL while {LONG_TASKS} tasks ran; process {process} takes over")
        processes = await self._all(handles, row)
        expect(set(processes) == {process}, processes)
        return f"{LONG_TASKS} tasks ran when it got SIGKILL: all of them ended in process {process}"

    async def dead_letter(self) -> DeadLetter:
        """What the store keeps of the task that failed."""
        driver = require(
            await self._app.driver(), Capability.DEAD_LETTERS, SupportsDeadLetters, purpose="This"
        )
        letters = (await driver.dead_letters()).items
        expect([letter.message.id for letter in letters] == [id_from_text(self._failing)], letters)
        return letters[0]

    async def left(self) -> tuple[int, int]:
        """How many messages have not ended, and how many are dead."""
        driver = await self._app.driver()
        counts = [await driver.count(queue) for queue in ("default", "letters")]
        waiting = sum(
            (each.ready or 0) + (each.scheduled or 0) + (each.leased or 0) for each in counts
        )
        return waiting, sum(each.dead or 0 for each in counts)

    async def _sent(self, dispatch: Awaitable[Handle[T]]) -> Handle[T]:
        handle = await dispatch
        self.dispatched += 1
        return handle

    async def _result(self, handle: Handle[T]) -> T:
        return await handle.result(timeout=PATIENCE_SECONDS)

    async def _all(self, handles: Sequence[Handle[T]], row: Row) -> list[T]:
        """The results in order; the row tells how many there are."""
        ended = 0
        row.tell(f"0 of {len(handles)}", 0.0)

        async def one(handle: Handle[T]) -> T:
            nonlocal ended
            result = await self._result(handle)
            ended += 1
            row.tell(f"{ended} of {len(handles)}", ended / len(handles))
            return result

        return list(await asyncio.gather(*map(one, handles)))

    async def _until_leased(self, handles: Sequence[Handle[T]]) -> None:
        driver = await self._inspected()
        ids = [id_from_text(handle) for handle in handles]
        states: set[State | None] = set()
        while states != {State.LEASED}:
            states = {found.state if found else None for found in await driver.find(ids)}
            await asyncio.sleep(LOOK_SECONDS)

    async def _last_error(self, handle: Handle[T]) -> str:
        [snapshot] = await (await self._inspected()).find([id_from_text(handle)])
        if snapshot is None or snapshot.error is None:
            return "first run"
        return f"run {snapshot.attempt}: {snapshot.error.type}: {snapshot.error.message}"

    async def _inspected(self) -> SupportsInspect:
        return require(
            await self._app.driver(), Capability.INSPECT, SupportsInspect, purpose="The demo"
        )


def expect(fulfilled: bool, otherwise: object) -> None:
    """Make sure of something.

    Raises:
        Unexpected: it is not so.
    """
    if not fulfilled:
        raise Unexpected(f"it came out otherwise: {otherwise}"[:300])


def show_letter(screen: Screen, letter: DeadLetter) -> None:
    """A dead letter, as an operator would look at it."""
    error = letter.error
    assert error is not None, "its runs raised"
    screen.panel(
        " the dead letter, kept whole, to be looked at and sent again ",
        [
            ("task", f"{letter.message.task}(order=42, card='•••• 4242')"),
            ("id", id_to_text(letter.message.id)),
            ("reason", f"{letter.reason.value}, after {letter.attempts} runs"),
            ("error", f"{error.type}: {error.message}"),
        ],
        error.traceback.rstrip().splitlines()[-3:],
    )
