"""The live view: readings, keys and signals come together here."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from asynctasq.cli.top.drawing import draw
from asynctasq.cli.top.keys import Key, KeyReader
from asynctasq.cli.top.readings import Reader, Reading
from asynctasq.cli.top.screen import Screen
from asynctasq.errors import AsynctasqError

if TYPE_CHECKING:
    from asynctasq.app import App

TERMINATED = 128 + signal.SIGTERM
"""The exit code after SIGTERM."""


class LiveView:
    """Shows a store until the user quits."""

    def __init__(
        self, app: "App", place: str, reader: Reader, screen: Screen, interval: float
    ) -> None:
        """Keep the parts.

        Args:
            app: pauses and resumes queues.
            place: the store, for people.
            reader: of the store.
            screen: not shown yet.
            interval: seconds between two readings.
        """
        self._app = app
        self._place = place
        self._reader = reader
        self._screen = screen
        self._interval = interval
        self._reading: Reading | None = None
        self._selected: str | None = None
        self._note = ""
        self._keys = KeyReader()
        self._wanted = asyncio.Event()
        self._ended: asyncio.Future[int] | None = None
        self._changes: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Show the store; return the exit code. Raises as the first reading does."""
        self._take(await self._reader.read())
        self._ended = asyncio.get_running_loop().create_future()
        with self._screen, self._listening(), _log_as_notes(self._say):
            self._draw()
            refreshing = asyncio.create_task(self._refresh())
            refreshing.add_done_callback(self._fail)
            try:
                return await self._ended
            finally:
                tasks = {refreshing, *self._changes}
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _refresh(self) -> None:
        while True:
            self._wanted.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._wanted.wait()
            try:
                self._take(await self._reader.read())
            except AsynctasqError as error:
                self._say(f"{error}")
            else:
                self._note = ""
                self._draw()

    def _take(self, reading: Reading) -> None:
        self._reading = reading
        names = [each.queue.name for each in reading.queues]
        if self._selected not in names:
            self._selected = names[0] if names else None

    def _draw(self) -> None:
        if self._reading is not None:
            width, height = self._screen.size
            self._screen.draw(
                draw(self._reading, self._place, self._selected, self._note, width, height)
            )

    def _say(self, note: str) -> None:
        self._note = note
        self._draw()

    # Keys and signals.

    @contextmanager
    def _listening(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        handlers: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGTERM: lambda: self._end(TERMINATED),
            signal.SIGWINCH: self._draw,
            signal.SIGTSTP: self._suspend,
        }
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        loop.add_reader(self._screen.input, self._typed)
        try:
            yield
        finally:
            loop.remove_reader(self._screen.input)
            for number in handlers:
                loop.remove_signal_handler(number)

    def _typed(self) -> None:
        data = self._screen.read()
        if not data:
            self._end(0)
        for key in self._keys.keys(data):
            self._press(key)

    def _press(self, key: Key) -> None:
        if key is Key.QUIT:
            self._end(0)
        elif key is Key.PAUSE:
            self._start(self._pause_or_resume())
        else:
            self._select(-1 if key is Key.UP else 1)

    def _select(self, step: int) -> None:
        names = [each.queue.name for each in self._reading.queues] if self._reading else []
        if self._selected in names:
            place = names.index(self._selected) + step
            self._selected = names[min(max(place, 0), len(names) - 1)]
            self._draw()

    async def _pause_or_resume(self) -> None:
        queues = self._reading.queues if self._reading else ()
        for each in queues:
            if each.queue.name == self._selected:
                change = self._app.queues.resume if each.queue.paused else self._app.queues.pause
                try:
                    await change(each.queue.name)
                except AsynctasqError as error:
                    self._say(f"{error}")
                else:
                    self._wanted.set()

    def _start(self, change: Coroutine[Any, Any, None]) -> None:
        """Run a change of the store, one at a time."""
        if self._changes:
            change.close()
            return
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        task.add_done_callback(self._fail)

    def _suspend(self) -> None:
        """Give the terminal back while the process is stopped by Ctrl-Z."""
        self._screen.restore()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._screen.show()
        self._draw()

    def _end(self, code: int) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(code)

    def _fail(self, task: asyncio.Task[None]) -> None:
        """End the view with the error of a task."""
        error = None if task.cancelled() else task.exception()
        if error is not None and self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)


@contextmanager
def _log_as_notes(say: Callable[[str], None]) -> Iterator[None]:
    """Show warnings of the package in the last line: on stderr they would destroy the screen."""

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(say, text)

    loop = asyncio.get_running_loop()
    logger, handler = logging.getLogger("asynctasq"), Notes(logging.WARNING)
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated
