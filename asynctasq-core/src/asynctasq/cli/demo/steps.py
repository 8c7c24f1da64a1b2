"""The steps of the demo. Import this module after `Workspace.enter`: it imports `tasks` from there."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from asynctasq import Handle, State
from asynctasq.app import App
from asynctasq.cli.demo.workspace import DemoFailed, Workspace
from asynctasq.errors import TaskFailed

if TYPE_CHECKING:
    from asynctasq.cli.demo import tasks
else:
    import tasks  # the copy in the folder, under the name by which the worker imports it

T = TypeVar("T")

TASKS = 500
FRAMES = 30
LONG_TASKS = 20
TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.05

Show = Callable[[str], object]
"""Shows the current state of a step."""


class Steps:
    """The steps of one demo. All but the last one dispatch their tasks before a worker runs."""

    def __init__(self, app: App, workspace: Workspace) -> None:
        self._app = app
        self._workspace = workspace
        self.dispatched = 0

    async def dispatch(self) -> None:
        """Dispatch the tasks of the first four steps."""
        calls = [tasks.greet(f"user {number}") for number in range(TASKS - 20)]
        words = [tasks.count_words("no task is lost") for _ in range(20)]
        self._greetings = await self._app.dispatch_many(calls)
        self._counts = await self._app.dispatch_many(words)
        self._rendering = await self._app.dispatch(tasks.render(FRAMES))
        self._request = await self._app.dispatch(tasks.call_service("GET /prices"))
        self._charge = await self._app.dispatch(tasks.ChargeCard(order=42, card="•••• 4242"))
        self.dispatched = TASKS + 3

    async def results(self, show: Show) -> str:
        """Await the results of many tasks."""
        show(f"Waiting for {TASKS} results")
        greetings = await self._all(self._greetings)
        expect(greetings == [f"Hello, user {number}!" for number in range(TASKS - 20)], greetings)
        counts = await self._all(self._counts)
        expect(counts == [4] * 20, counts)
        return f"{TASKS} tasks returned their results, such as {greetings[0]!r}"

    async def progress(self, show: Show) -> str:
        """Follow the progress of a task."""
        result = asyncio.ensure_future(self._result(self._rendering))
        reports = 0
        try:
            while not result.done():
                await asyncio.wait([result], timeout=POLL_SECONDS)
                match await self._rendering.progress():
                    case {"frame": int(frame), "of": int(total)}:
                        reports += 1
                        show(f"Rendering frame {frame} of {total}")
                    case _:
                        pass
        finally:
            result.cancel()
        expect(await result == f"{FRAMES} frames", result)
        expect(reports > 0, "the task reported no progress")
        return f"the task reported each of its {FRAMES} frames"

    async def retry(self, show: Show) -> str:
        """Await a task that fails twice."""
        show("Waiting for the retries")
        result = await self._result(self._request)
        expect(result == "GET /prices: answered on run 3", result)
        return "two runs raised ConnectionError, the third one succeeded"

    async def dead_letter(self, show: Show) -> str:
        """Await a task that fails on every run."""
        show("Waiting for the last run")
        try:
            result = await self._result(self._charge)
        except TaskFailed as failure:
            expect(failure.error_type == "ValueError", failure.error_type)
        else:
            raise DemoFailed(f"The task returned {result!r}.")
        [letter] = (await self._app.dead_letters.page()).items
        expect(letter.id == self._charge, letter.id)
        assert letter.error is not None, "each run raised an error"
        return f"both runs raised {letter.error.type}: {letter.error.message}"

    async def killed_worker(self, show: Show) -> str:
        """Kill the worker while it runs tasks, and start another one."""
        calls = [tasks.long_task(number) for number in range(LONG_TASKS)]
        handles = await self._app.dispatch_many(calls)
        self.dispatched += LONG_TASKS
        show(f"Starting {LONG_TASKS} tasks")
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while {await handle.status() for handle in handles} != {State.RUNNING}:  # noqa: ASYNC110  no event reports it
                await asyncio.sleep(POLL_SECONDS)
        await self._workspace.kill_worker()
        show("Killed the worker; starting another one")
        pid = await self._workspace.start_worker()
        pids = await self._workspace.while_worker_runs(self._all(handles))
        expect(set(pids) == {pid}, pids)
        return f"{LONG_TASKS} running tasks survived SIGKILL: PID {pid} completed them"

    async def left(self) -> tuple[int, int]:
        """Return the number of unfinished messages and of dead letters."""
        counts = await self._app.queues.count("default")
        unfinished = (counts.ready or 0) + (counts.scheduled or 0) + (counts.leased or 0)
        return unfinished, counts.dead or 0

    async def _result(self, handle: Handle[T]) -> T:
        return await handle.result(timeout=TIMEOUT_SECONDS)

    async def _all(self, handles: Sequence[Handle[T]]) -> list[T]:
        return list(await asyncio.gather(*map(self._result, handles)))


def expect(fulfilled: bool, actual: object) -> None:
    """Check an expectation.

    Raises:
        DemoFailed: it is not fulfilled.
    """
    if not fulfilled:
        raise DemoFailed(f"Unexpected result: {actual}"[:300])
