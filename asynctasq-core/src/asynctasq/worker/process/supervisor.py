"""The supervisor of worker processes: starts them, replaces those that die, and stops them all."""

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from asynctasq.exposition import Page, metrics_page
from asynctasq.worker.health import WORKING, Phase, Report
from asynctasq.worker.metric_reports import MetricReports
from asynctasq.worker.process.children import children_in
from asynctasq.worker.process.signals import SignalDebouncer, stop_signal_numbers
from asynctasq.worker.process.worker_process import WorkerProcess
from asynctasq.worker.services.health_answers import Query
from asynctasq.worker.timing import WorkerTiming

logger = logging.getLogger("asynctasq")

ANSWER_LIMIT_BYTES = 2**26


def how_it_ended(code: int) -> str:
    """Describe the end of a process; `code` is its return code in `subprocess`."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}" + (
        " (out of memory, perhaps)" if -code == signal.SIGKILL else ""
    )


class Supervisor:
    """Runs worker processes until they have all ended."""

    def __init__(
        self,
        command: Callable[[int, int], Sequence[str]],
        *,
        processes: int,
        burst: bool,
        timing: WorkerTiming | None = None,
    ) -> None:
        """Make a supervisor; nothing is started.

        Args:
            command: makes the command of a process from its number and the descriptor of its channel.
            processes: number of processes, which are numbered from 1.
            burst: True to leave a process that ends with exit code 0 unreplaced: there is nothing more to do.
            timing: durations.
        """
        timing = timing or WorkerTiming()
        self._timing = timing.supervisor
        self._end_seconds = timing.control.end
        self._command = command
        self._burst = burst
        self._processes = [WorkerProcess(number, timing) for number in range(1, processes + 1)]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._signals = 0
        self._debouncer = SignalDebouncer(timing.signals)
        self._ever_ran = False
        self._exit_code = 0
        self._dead_owners: set[str] = set()
        """Owners of crashed processes, until a live process has ended their leases."""
        self._metrics = MetricReports()
        self._background: set[asyncio.Task[None]] = set()
        self._death = asyncio.Event()
        """Set at the next death, then replaced."""

    async def run(self) -> int:
        """Start the processes, and return the exit code when all have ended."""
        self._loop = loop = asyncio.get_running_loop()
        numbers = stop_signal_numbers()
        for each in numbers:
            loop.add_signal_handler(each, self._on_stop, each)
        loop.add_signal_handler(signal.SIGUSR1, self._forward, signal.SIGUSR1)
        try:
            async with asyncio.TaskGroup() as group:
                for worker in self._processes:
                    group.create_task(self._keep(worker))
        finally:
            for worker in self._processes:
                worker.kill()
            for ending in self._background:
                ending.cancel()
            for each in (*numbers, signal.SIGUSR1):
                loop.remove_signal_handler(each)
        return self._exit_code

    # Signals.

    def _on_stop(self, received: signal.Signals) -> None:
        if not self._debouncer.is_new():
            return
        self._signals += 1
        logger.info(
            "Received %s; %s worker processes",
            received.name,
            "stopping" if self._signals == 1 else "interrupting",
        )
        self._stop()

    def _stop(self) -> None:
        self._stopping.set()
        for worker in self._processes:
            self._stop_one(worker)

    def _stop_one(self, worker: WorkerProcess) -> None:
        worker.send(signal.SIGTERM)
        worker.stop_sent_at = time.monotonic()
        first = worker.grace_period + self._end_seconds if worker.ran else self._timing.starting
        worker.kill_in(first if self._signals < 2 else min(first, self._timing.hurry))

    def _forward(self, number: signal.Signals) -> None:
        for worker in self._processes:
            worker.send(number)

    # One process.

    async def _keep(self, worker: WorkerProcess) -> None:
        """Keep a process running until the supervisor stops, or until there is nothing more to do."""
        early_deaths = 0
        while not self._stopping.is_set():
            started_at = time.monotonic()
            try:
                code = await self._run_one(worker)
            except (OSError, RuntimeError, MemoryError) as error:
                # The system has no more descriptors, memory or threads.
                early_deaths += 1
                await self._pause(worker, self._timing.restart.pause(early_deaths), error)
                continue
            if self._stopping.is_set():
                logger.info(
                    "Worker process %d %s",
                    worker.number,
                    how_it_ended(code),
                    extra=_fields_of(worker),
                )
                return
            if code == 0 and self._burst:
                return
            if worker.retired:
                logger.info(
                    "Worker process %d was stopped by an operator; not starting another",
                    worker.number,
                    extra=_fields_of(worker),
                )
                return
            if code in {1, 2} and not self._any_ran():  # a wrong setting stays wrong
                logger.error(
                    "Worker process %d could not start; stopping the supervisor",
                    worker.number,
                    extra=_fields_of(worker),
                )
                self._exit_code = code
                self._stop()
                return
            lived = time.monotonic() - started_at
            early_deaths = 0 if lived >= self._timing.settled or code == 0 else early_deaths + 1
            pause = self._timing.restart.pause(early_deaths)
            if code == 0:
                pause = max(0.0, self._timing.beat - lived)
            worker.restarts += 1
            logger.log(
                logging.INFO if code == 0 else logging.ERROR,
                "Worker process %d (PID %s) %s; starting another%s",
                worker.number,
                worker.pid,
                worker.killed_because or how_it_ended(code),
                f" in {pause:.3g} s" if pause else "",
                extra=_fields_of(worker),
            )
            await self._pause(worker, pause)

    def _any_ran(self) -> bool:
        """Return whether any process has got as far as running tasks."""
        return self._ever_ran or any(each.ran for each in self._processes)

    async def _pause(
        self, worker: WorkerProcess, seconds: float, error: BaseException | None = None
    ) -> None:
        """Wait before the next start, or until the supervisor stops."""
        if error is not None:
            logger.error(
                "Worker process %d could not be started (%s: %s); retrying in %.3g s",
                worker.number,
                type(error).__name__,
                error,
                seconds,
                extra=_fields_of(worker),
            )
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _run_one(self, worker: WorkerProcess) -> int:
        """Run one process to its end, and return its exit code.

        Raises:
            OSError: the process cannot be started.
            RuntimeError: the process cannot be started, as the system has no more threads.
        """
        process, reader, writer = await self._start(worker.number)
        worker.begin(process, reader, writer)
        if self._stopping.is_set():  # a signal came while it was being started
            self._stop_one(worker)
        watching = asyncio.create_task(self._watch(worker))
        try:
            return await process.wait()
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            self._ever_ran = await worker.has_run() or self._ever_ran
            worker.end()
            self._metrics.end(worker.metrics)
            worker.metrics = None
            if worker.owner and not worker.settled and not self._stopping.is_set():
                self._background.add(
                    ending := asyncio.create_task(self._end_leases_of(worker.owner, process.pid))
                )
                ending.add_done_callback(self._background.discard)

    async def _start(
        self, number: int
    ) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader, asyncio.StreamWriter]:
        """Start a process, or leave nothing behind."""
        ours, theirs = socket.socketpair()
        process: asyncio.subprocess.Process | None = None
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *self._command(number, theirs.fileno()),
                    pass_fds=(theirs.fileno(),),
                    stdin=asyncio.subprocess.DEVNULL,
                    process_group=0,  # Ctrl-C is for this process, which stops the others
                )
            reader, writer = await asyncio.open_connection(sock=ours, limit=ANSWER_LIMIT_BYTES)
        except BaseException:
            ours.close()
            if process is not None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            raise
        return process, reader, writer

    async def _watch(self, worker: WorkerProcess) -> None:
        """Kill the process when its event loop has been blocked for longer than allowed."""
        answered_at = time.monotonic()
        while True:
            death = self._death
            beat = await worker.ask(self._question(worker))
            if beat is not None:
                answered_at = time.monotonic()
                self._dead_owners.difference_update(beat.get("ended", ()))
                if beat["phase"] in {Phase.STARTING, *WORKING} and worker.ignores_stop():
                    await worker.ask("stop")
            silence = time.monotonic() - answered_at
            if beat is not None and not beat["live"]:
                worker.kill("was killed because its event loop was blocked")
            elif silence > worker.stall_limit:
                worker.kill(f"was killed because it had not answered for {silence:.0f} s")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.beat):
                    await death.wait()

    # Leases of crashed processes.

    def _question(self, worker: WorkerProcess) -> str:
        """Return the next question.

        Once a process runs, it also ends the leases of crashed processes. Its metrics are asked for now and then,
        because a process that is killed cannot report them any more.
        """
        if self._dead_owners and worker.ran:
            return f"end {json.dumps(sorted(self._dead_owners))}"
        is_due = time.monotonic() >= worker.metrics_at + self._timing.metrics
        return "metrics" if is_due and worker.ran else "beat"

    async def _end_leases_of(self, owner: str, group: int) -> None:
        """Have a live process end the leases of a crashed one, once the tasks of that have ended.

        The children of a process are in its process group. The system kills them with it, which takes a
        moment; until then they may run its tasks. Where the system does not show them, the leases expire.
        """
        running: list[int] | None = None
        for _ in range(self._timing.orphan_checks):
            running = children_in(group)
            if not running:
                break
            await asyncio.sleep(self._timing.orphan_check)
        if running is None or running:
            return
        self._dead_owners.add(owner)
        death, self._death = self._death, asyncio.Event()
        death.set()

    # Health, which other threads ask for.

    def reports(self) -> dict[str, Callable[[], Report]]:
        """Return the health reports of all processes together, by path."""
        return {
            "/livez": lambda: self._from_thread(self._verdict("live")),
            "/readyz": lambda: self._from_thread(self._verdict("ready")),
            "/status": lambda: self._from_thread(self._status()),
        }

    def pages(self) -> dict[str, Callable[[Query], Page]]:
        """Return the pages about all processes together, by path."""
        return {"/metrics": self._metrics_page}

    def _metrics_page(self, query: Query) -> Page:
        if self._loop is not None:
            with suppress(TimeoutError, RuntimeError):  # the last reports are shown
                asyncio.run_coroutine_threadsafe(self._ask_metrics(), self._loop).result(
                    2 * self._timing.answer
                )
        known = [each.metrics for each in self._processes if each.metrics is not None]
        return metrics_page(self._metrics.families(known), query.accept)

    async def _ask_metrics(self) -> None:
        await asyncio.gather(*(each.ask("metrics") for each in self._processes))

    def _from_thread(self, report: Coroutine[Any, Any, Report]) -> Report:
        if self._loop is None:
            report.close()
            return {"ok": False, "problems": ["no process has been started"]}
        try:
            return asyncio.run_coroutine_threadsafe(report, self._loop).result(
                2 * self._timing.answer
            )
        except (TimeoutError, RuntimeError):
            return {"ok": False, "problems": ["the supervisor does not answer"]}

    async def _status(self) -> Report:
        kept = [worker for worker in self._processes if not worker.retired]
        statuses = await asyncio.gather(*(worker.ask("status") for worker in kept))
        return {
            "pid": os.getpid(),
            "processes": [
                {
                    "number": worker.number,
                    "pid": worker.pid,
                    "restarts": worker.restarts,
                    "status": status,
                }
                for worker, status in zip(kept, statuses, strict=True)
            ],
        }

    async def _verdict(self, field: str) -> Report:
        """Return a verdict that is good if that of one process is: the others are being replaced."""
        statuses = [each["status"] for each in (await self._status())["processes"]]
        verdicts = [each[field] for each in statuses if each is not None and field in each]
        starting = field == "live" and not all(statuses)
        good = any(each is True or (each is not True and each["ok"]) for each in verdicts)
        warnings = [
            each["warnings"] for each in verdicts if each is not True and "warnings" in each
        ]
        return {
            "ok": good or starting,
            "problems": [] if good else [f"no process is {field}"],
            **(
                {"warnings": warnings[0]} if warnings else {}
            ),  # one of them: all see the same outbox
            field: verdicts,
        }


def interpreter_command() -> list[str]:
    """Return the command of this process: interpreter, its options, script and arguments."""
    return [sys.executable, *sys.orig_argv[1:]]


def _fields_of(worker: WorkerProcess) -> dict[str, object]:
    return {"worker_process": worker.number, "worker_pid": worker.pid}
