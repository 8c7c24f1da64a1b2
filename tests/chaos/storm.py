"""A storm: mixed tasks run while everything fails that can; then the ledger is checked.

It sends tasks for a given time while three lanes of faults go on: to processes, to the store as a
whole, and to single calls and records. Then it ends all faults, waits until nothing is left to do,
and compares store and ledger.
"""

import asyncio
import random
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Sequence,
)
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from asynctasq import App
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import State
from tests.chaos.checks import PROBES, check_ledger
from tests.chaos.faults.fault import PROCESSES, Fault, Lanes, Scene
from tests.chaos.fleet import WorkerFleet, worker_environment
from tests.chaos.inside import tasks
from tests.chaos.inside.app import SETTINGS
from tests.chaos.inside.audit import Audit
from tests.chaos.inside.switches import LOG, SwitchBoard, Switches
from tests.chaos.kinds import KINDS, OWN_QUEUES, End, Kind
from tests.chaos.ledger import read_faults, read_log
from tests.chaos.report import Report
from tests.chaos.stores.store import Store
from tests.chaos.workload import Dispatcher

T = TypeVar("T")

PROGRESS_SECONDS = 10.0
RECRUIT_SECONDS = 0.2
ROUNDS = 3
"""Times that each fault is due within a storm."""
LONGEST_PAUSE_SECONDS = 3.0
MORE_ROUNDS = 3
"""Rounds beyond the time of the storm for faults that have not happened."""
STUCK_SECONDS = 30.0
"""Without progress."""
PROBE_SECONDS = 60.0


def new_seed() -> int:
    """Make a seed; the report of the storm names it."""
    return random.SystemRandom().randrange(2**32)


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let something go on during a block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call until the store can be reached."""
    while True:
        try:
            return await call()
        except DriverUnavailable:
            await asyncio.sleep(0.2)


class Storm:
    """One storm on one store."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        kinds: Sequence[Kind],
        faults: Lanes,
        *,
        seconds: float,
        seed: int,
    ) -> None:
        """Prepare a storm.

        Args:
            store: not started.
            folder: an empty one, for the ledger.
            kinds: of the tasks, in order.
            faults: by lane; those of one lane do not overlap.
            seconds: for which tasks are sent and faults happen.
            seed: of all that is random here, but not of the order in which processes run.
        """
        self._store = store
        self._folder = folder
        self._kinds = kinds
        self._lanes = faults
        self._seconds = seconds
        self._chance = random.Random(seed)
        self._switches = Switches(folder)
        (folder / "first").mkdir()
        self.report = Report(store.kind, seed, len(kinds))

    async def run(self, show: Callable[[str], None]) -> Report:
        """Run the storm; `show` gets a line about its progress now and then."""
        started_at = time.monotonic()
        self._store.start()
        self._switches.start()
        environment = worker_environment(self._store.kind, self._store.address)
        fleet = WorkerFleet(self._folder, environment, self.report)
        scene = Scene(
            self._chance, fleet, self._store, SwitchBoard(self._folder), self.report, self._folder
        )
        audit = Audit(self._folder, self._switches)
        try:
            app = App({"driver": self._store.driver(audit), **SETTINGS})
            async with app:
                dispatcher = Dispatcher(
                    app, self._folder, self._chance, follows=self._store.has_outcomes
                )
                async with beside(self._show(show, dispatcher, started_at)):
                    async with beside(self._recruit(fleet)):
                        await self._probe(app, "at the start", tasks_of_each=1)
                        if self.report.problems:
                            return self.report
                        await self._rage(scene, dispatcher)
                        show("calm; draining")
                        await self._end_work(scene, app, dispatcher)
                    await self._check(scene, app, dispatcher)
        finally:
            await asyncio.to_thread(fleet.close)
            self._store.stop()
            self._switches.stop()
            audit.close()
        self.report.faults.update(read_faults(self._folder / LOG))
        self._require_faults()
        self.report.seconds = time.monotonic() - started_at
        return self.report

    async def _recruit(self, fleet: WorkerFleet) -> None:
        while True:
            fleet.recruit()
            await asyncio.sleep(RECRUIT_SECONDS)

    async def _show(
        self, show: Callable[[str], None], dispatcher: Dispatcher, started_at: float
    ) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            faults = self.report.faults + read_faults(self._folder / LOG)
            show(
                f"{time.monotonic() - started_at:.0f} s: {dispatcher.accepted:,} of "
                f"{len(self._kinds):,} tasks accepted, {dispatcher.awaiting} results awaited, "
                f"{faults.total()} faults, {self.report.workers_started} workers started"
            )

    # While it rages.

    async def _rage(self, scene: Scene, dispatcher: Dispatcher) -> None:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(dispatcher.send(self._kinds, self._seconds))
            for name, lane in self._lanes.items():
                group.create_task(self._strike(name, lane, scene, sending))

    async def _strike(
        self, name: str, lane: Sequence[Fault], scene: Scene, sending: "asyncio.Task[None]"
    ) -> None:
        """Let the faults of a lane happen in random order, round after round, until all tasks are sent."""
        pause = min(self._seconds / (ROUNDS * len(lane)), LONGEST_PAUSE_SECONDS)
        rounds_more = MORE_ROUNDS
        while not sending.done() or (rounds_more and self._missing(lane)):
            faults = list(lane)
            if sending.done():
                rounds_more -= 1
                faults = [each for each in lane if each.name in self._missing(lane)]
            self._chance.shuffle(faults)
            for each in faults:
                await asyncio.sleep(self._chance.uniform(0.0, pause))
                if name == PROCESSES:
                    await scene.fleet.recovered()
                began_at = time.time()
                await each.strike(scene)
                scene.struck.append((each.name, began_at, time.time()))
                if not each.counted_inside:
                    self.report.faults[each.name] += 1
                if sending.done() and rounds_more == MORE_ROUNDS:
                    break

    def _missing(self, lane: Sequence[Fault]) -> set[str]:
        happened = self.report.faults + read_faults(self._folder / LOG)
        return {each.name for each in lane if not happened[each.name]}

    def _require_faults(self) -> None:
        names = {each.name for lane in self._lanes.values() for each in lane}
        if self._uses_up_descriptors:
            names.add(tasks.DESCRIPTORS_EXHAUSTED)
        self.report.require(sorted(names))
        self.report.skipped += self._store.skipped

    # When it is over.

    async def _end_work(self, scene: Scene, app: App, dispatcher: Dispatcher) -> None:
        """Undo all faults, and wait for the end of all work."""
        scene.board.turn_all_off()
        await self._store.calm()
        scene.fleet.wake()
        driver: Any = await app.driver()
        driver.clock_offset = 0.0
        await self._drained(driver, dispatcher, "after the storm")
        await self._exhaust_descriptors(driver, dispatcher)
        await self._cure(driver)
        await self._drained(driver, dispatcher, "after the cure")
        await dispatcher.finish(PROBE_SECONDS)
        self.report.problems += dispatcher.workload.problems
        self.report.answers.update(dispatcher.workload.answers)
        await self._probe(app, "after the storm", tasks_of_each=30)

    async def _exhaust_descriptors(self, driver: Any, dispatcher: Dispatcher) -> None:
        """Send one more task that uses up all descriptors if none did: records are damaged before they run."""
        if not self._uses_up_descriptors or tasks.DESCRIPTORS_EXHAUSTED in read_faults(
            self._folder / LOG
        ):
            return
        await dispatcher.send([KINDS["hogging"]], 0.0, first=self.report.planned)
        self.report.planned += 1
        await self._drained(driver, dispatcher, "after the descriptors were used up")

    @property
    def _uses_up_descriptors(self) -> bool:
        return KINDS["hogging"] in self._kinds

    async def _check(self, scene: Scene, app: App, dispatcher: Dispatcher) -> None:
        """Dismiss the workers, and compare store and ledger."""
        await asyncio.to_thread(scene.fleet.dismiss)
        driver: Any = await app.driver()
        entries = dispatcher.workload.entries
        self.report.accepted = len(entries)
        messages = {each.message for each in entries}
        ends = await self._ask("reading results", self._store.ends(driver, messages))
        jumps = "".join(f"{began:.3f} {ended:.3f}\n" for began, ended in scene.jumps)
        (self._folder / "jumps.log").write_text(jumps)
        check_ledger(entries, read_log(self._folder), ends or {}, scene)
        letters = await self._ask("listing dead letters", self._store.letters(driver)) or []
        found = await self._ask("counting", self._store.check_counts(driver, letters))
        self.report.problems += found or []
        await self._check_keys(app, driver, {each.key for each in entries} - {""})
        if letters:
            await self._ask("deleting", driver.delete_dead([each.message.id for each in letters]))
        left = await self._ask("looking for leftovers", self._store.leftovers()) or []
        self.report.problems += [f"left in the store: {each}" for each in left]

    async def _ask(self, what: str, call: Awaitable[Any]) -> Any:
        """Await a call to the store; that it fails is a problem."""
        try:
            return await call
        except Exception as error:  # noqa: BLE001 - reported, with the rest of the checks
            self.report.problems.append(f"{what} failed: {type(error).__name__}: {error}")
            return None

    async def _drained(self, driver: Any, dispatcher: Dispatcher, when: str) -> None:
        least = left = -1
        deadline = time.monotonic() + STUCK_SECONDS
        while time.monotonic() < deadline:
            with suppress(DriverError):  # the file is locked by a worker for a moment
                left = await self._store.not_ended(driver, dispatcher.workload.entries)
                if not left:
                    return
                if left < least or least < 0:
                    least, deadline = left, time.monotonic() + STUCK_SECONDS
            await asyncio.sleep(0.2)
        self.report.problems.append(f"STUCK: {left} messages have not ended {when}")

    async def _cure(self, driver: Any) -> None:
        """Let hopeless tasks succeed, and requeue them."""
        (self._folder / tasks.CURED).touch()
        letters = await self._ask("listing dead letters", self._store.letters(driver)) or []
        ids = [
            each.message.id
            for each in letters
            if each.message.task == "chaos.hopeless" and each.reason.value == End.FAILED
        ]
        answers = (await self._ask("requeueing", driver.requeue(ids)) if ids else None) or []
        if not all(answers):
            self.report.problems.append(f"{answers.count(False)} requeues were refused")

    async def _probe(self, app: App, when: str, *, tasks_of_each: int) -> None:
        """Let each worker run tasks of all modes: it must be of use."""
        for number, queue in enumerate(OWN_QUEUES):
            calls = [
                kind(PROBES + number).on_queue(queue)
                for kind in (tasks.plain, tasks.threaded, tasks.computing)
                for _ in range(tasks_of_each)
            ]
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    handles = await _patiently(partial(app.dispatch_many, calls))
                    await self._store.await_all(handles)
            except Exception as error:  # noqa: BLE001 - reported
                self.report.problems.append(
                    f"worker {number} is of no use {when}: {type(error).__name__}: {error}"
                )

    async def _check_keys(self, app: App, driver: Any, keys: set[str]) -> None:
        """Check that the unique keys of finished messages are free."""
        for key in sorted(keys):
            call = tasks.plain(PROBES).on_queue("high").options(unique=key)
            dispatching = _patiently(partial(app.dispatch, call))
            handle = await self._ask(f"dispatching with the key {key}", dispatching)
            if handle is not None and not handle.created:
                self.report.problems.append(f"the unique key {key} is still held by {handle}")
        if keys:
            full = self._store.full(driver)
            await self._ask("purging", full.purge("high", states={State.READY}))
