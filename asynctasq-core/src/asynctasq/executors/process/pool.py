"""The child processes of a worker: assignment of work items, and replacement of children that exit."""

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from asynctasq.backoff import Backoff
from asynctasq.errors import ChildDied, TaskTimeout
from asynctasq.executors.process.child import ChildProcess, check_platform, present_folder
from asynctasq.executors.process.frames import (
    BROKEN,
    CANCELLED,
    PROGRESS,
    READY,
    REMEMBERED,
    SPENT,
    WAITING,
    Frame,
)
from asynctasq.executors.process.settings import ProcessSettings
from asynctasq.executors.process.waits import ChildWaits
from asynctasq.executors.process.work_item import WorkItem

logger = logging.getLogger("asynctasq")

SHORT_SECONDS = 0.005
"""Below this mean duration, a child receives several work items at once, so that it never idles."""
AHEAD = 4
"""Work items that a child may hold at once."""
STUCK_SECONDS = 0.02
"""Work items behind one that takes longer than this go to other children."""
CANCEL_SECONDS = 1.0
"""Time for a cancelled async task to end before its process is killed."""
REMEMBER_SECONDS = 10.0
"""How long a child to be replaced keeps failed runs whose `failed` hook was not called yet."""
START_BACKOFF = Backoff(first=0.1, longest=10.0)
"""Pauses before another child starts, after one could not."""
_WEIGHT_OF_LAST = 0.05


class ProcessPool:
    """Runs `settings.children` children from `open` to `close`."""

    def __init__(self, settings: ProcessSettings) -> None:
        """Create a pool for the running loop, without starting children."""
        self._settings = settings
        self._folder = present_folder()  # tasks may change it
        self._loop = asyncio.get_running_loop()
        self._context = (
            contextvars.Context()
        )  # not the context of the first task that needs a child
        self._children: list[ChildProcess] = []
        self._waiting: deque[WorkItem] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waits = ChildWaits(
            lambda: (child.sent[0] if child.sent else None for child in self._children),
            lambda: self._waiting,
        )
        self._mean_seconds = 1.0
        self._rescuing: asyncio.TimerHandle | None = None
        self._failed_starts = 0
        self._opened = False
        self._closing = False

    def open(self) -> None:
        """Start the children, unless they are started.

        Raises:
            ConfigurationError: this platform does not support child processes.
        """
        if not self._opened:
            check_platform()
            self._opened = True
            for _ in range(self._settings.children):
                self._spawn(self._start_child())

    async def warm(self) -> None:
        """Start the children, and return when each is ready or its first start has failed."""
        self.open()
        if self._tasks:
            await asyncio.wait(self._tasks.copy())  # not the restarts after failures
        if self._children:
            await asyncio.wait([child.ready for child in self._children])

    async def close(self) -> None:
        """Stop the children, and kill those that are busy. Idempotent."""
        self._closing = True
        self._waits.close()
        for task in self._tasks:
            task.cancel()
        if self._rescuing is not None:
            self._rescuing.cancel()
        for child in self._children:
            if child.sent or not child.ready.done():
                child.kill("was stopped with the worker")
            else:
                child.dismiss()
        while self._tasks:
            await asyncio.wait(self._tasks)
        while self._children:
            await self._children[0].over.wait()

    # Work items.

    def add(self, item: WorkItem) -> None:
        """Give a work item to the first child that is free."""
        if self._closing:
            item.settle(ChildDied("The child processes of the worker have been stopped."))
            return
        self.open()
        if item.urgent:
            self._waiting.appendleft(item)
        else:
            self._waiting.append(item)
        self._assign()

    def add_for(self, child: ChildProcess | None, item: WorkItem) -> None:
        """Give a work item to this child, before all others; to another child if that is not possible."""
        if child is None or child.gone or not child.ready.done():
            self.add(item)
            return
        self._waiting.extendleft(reversed(child.take_back()))
        if child.give(item):
            if len(child.sent) == 1:
                self._begin(item)
        else:
            self._waiting.appendleft(item)
        self._assign()

    def interrupt(self, item: WorkItem) -> None:
        """Interrupt a work item; its reply arrives when it has ended."""
        if item.outcome is not None:
            return
        if item.child is not None:
            self._waiting.extendleft(reversed(item.child.take_back()))
        child = item.child
        if child is None:
            with suppress(ValueError):
                self._waiting.remove(item)
            item.settle([CANCELLED])
            self._assign()
        elif item.call.definition.is_async:
            child.cancel(item)
            if item.timer is not None:
                item.timer.cancel()
            item.timer = self._loop.call_later(CANCEL_SECONDS, self._kill_for, item)
        else:
            child.kill("was killed because its task was interrupted")

    def forget(self, child: ChildProcess, number: int) -> None:
        """Release the failed run of a work item, because its `failed` hook has been called."""
        child.remembers.discard(number)
        if child.retiring:
            self._dismiss_when_done(child)

    def _assign(self) -> None:
        while self._waiting and (child := self._free_child()) is not None:
            item = self._waiting.popleft()
            if not child.give(item):
                self._waiting.appendleft(item)
                return
            if len(child.sent) == 1:
                self._begin(item)
            elif self._rescuing is None:
                self._rescuing = self._loop.call_later(STUCK_SECONDS, self._rescue)

    def _free_child(self) -> ChildProcess | None:
        best: ChildProcess | None = None
        fewest = AHEAD if self._mean_seconds < SHORT_SECONDS else 1
        for child in self._children:
            if len(child.sent) < fewest and child.is_usable:
                best, fewest = child, len(child.sent)
                if fewest == 0:
                    break
        return best

    def _begin(self, item: WorkItem) -> None:
        item.begun_at = self._loop.time()
        if item.limit is not None:
            item.timer = self._loop.call_later(item.limit, self._time_out, item)

    def _time_out(self, item: WorkItem) -> None:
        item.timed_out = True
        self._kill_for(item)

    def _kill_for(self, item: WorkItem) -> None:
        if item.child is not None and item.outcome is None:
            item.child.kill("was killed because its task did not end in time")

    def _rescue(self) -> None:
        """Move work items that wait behind long ones to other children."""
        self._rescuing = None
        now = self._loop.time()
        behind = False
        for child in self._children:
            if len(child.sent) > 1:
                if now - child.sent[0].begun_at > STUCK_SECONDS:
                    self._mean_seconds = max(self._mean_seconds, SHORT_SECONDS)
                    self._waiting.extendleft(reversed(child.take_back()))
                else:
                    behind = True
        self._assign()
        if behind and self._rescuing is None:
            self._rescuing = self._loop.call_later(STUCK_SECONDS, self._rescue)

    # Callbacks of the children.

    def _replied(self, child: ChildProcess, frame: Frame) -> None:
        number, kind = frame[0], frame[1]
        if kind == READY:
            self._failed_starts = 0
        elif kind == BROKEN:
            pass
        elif kind == PROGRESS:
            for item in child.sent:
                if item.number == number:
                    _report(item, frame[3])
            return
        elif kind == WAITING:
            for item in child.sent:
                if item.number == number:
                    self._waits.note(item, frame[3], begins=frame[4])
            return
        else:
            item = child.sent.popleft()
            assert item.number == number, "a child does its work items in order"
            now = self._loop.time()
            self._mean_seconds += (now - item.begun_at - self._mean_seconds) * _WEIGHT_OF_LAST
            if frame[2] & REMEMBERED:
                item.remembered = True
                child.remembers.add(number)
            if frame[2] & SPENT and not child.retiring:
                self._retire(child)
            item.settle([kind, *frame[3:]])
            if child.sent:
                self._begin(child.sent[0])
        self._assign()

    def _retire(self, child: ChildProcess) -> None:
        """Replace a child that has run its maximum number of tasks."""
        child.retiring = True
        self._waiting.extendleft(reversed(child.take_back()))
        self._spawn(self._start_child())
        self._loop.call_soon(self._dismiss_when_done, child)
        self._loop.call_later(REMEMBER_SECONDS, self._dismiss_forgetful, child)

    def _dismiss_when_done(self, child: ChildProcess) -> None:
        if not child.sent and not child.remembers and not child.gone:
            child.dismiss()

    def _dismiss_forgetful(self, child: ChildProcess) -> None:
        child.remembers.clear()
        self._dismiss_when_done(child)

    def _ended(self, child: ChildProcess) -> None:
        self._children.remove(child)
        self._waiting.extendleft(reversed(child.take_back()))
        was_ready = child.ready.result()
        if child.sent:  # at most one: the others have just been taken back
            item = child.sent.popleft()
            item.settle(_death(item, child))
        if self._closing:
            return
        if not was_ready:
            self._start_failed(child)
        elif not child.retiring:
            self._spawn(self._start_child())
        self._assign()

    def _start_failed(self, child: ChildProcess) -> None:
        """Start a child again after a pause. Fail the waiting work items if no other child is usable."""
        self._failed_starts += 1
        pause = START_BACKOFF.pause(self._failed_starts)
        log = "A child process %s; starting the next one in %g s"
        logger.error(
            f"{log}\n%s" if child.problem else f"{log}%s",
            child.why_not_ready(),
            pause,
            child.problem,
        )
        self._spawn(self._start_child(pause))
        if not any(each.is_usable for each in self._children):
            last = child.problem.strip().rpartition("\n")[2]
            error = f"A child process {child.why_not_ready()}" + (f": {last}" if last else ".")
            while self._waiting:
                self._waiting.popleft().settle(ChildDied(error))

    async def _start_child(self, pause: float = 0.0) -> None:
        if pause:
            await asyncio.sleep(pause)
        child = ChildProcess(replied=self._replied, ended=self._ended)
        self._children.append(child)
        try:
            await child.start(self._settings, self._folder)
        except asyncio.CancelledError:
            self._children.remove(child)
            raise
        except (OSError, RuntimeError, MemoryError) as error:  # of descriptors, threads, memory
            self._children.remove(child)
            if self._closing:
                return
            child.problem = f"{type(error).__name__}: {error}"
            self._start_failed(child)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        if self._closing:
            coroutine.close()
            return
        task = self._loop.create_task(coroutine, context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _death(item: WorkItem, child: ChildProcess) -> Exception:
    if item.timed_out:
        timeout = item.call.policy.timeout
        if timeout is None:
            timeout = item.limit  # of a hook
        return TaskTimeout(f"The task took longer than its timeout of {timeout:g} s.")
    return ChildDied(f"The process that ran the task {child.how_it_ended()}.")


def _report(item: WorkItem, progress: bytes) -> None:
    try:
        item.call.report_encoded(progress)
    except Exception as error:
        logger.warning("Lost progress of %s: %s", item.call.definition.name, error)
