"""Keeps a number of worker processes running: starts them, replaces those that die, stops them all."""

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
from pathlib import Path
from typing import Any

from asynctasq.worker.health import Phase, Report
from asynctasq.worker.process.control_channel import END_SECONDS
from asynctasq.worker.process.signals import SignalDebouncer, stop_signals_heard
from asynctasq.worker.process.worker_process import ANSWER_SECONDS, WorkerProcess

logger = logging.getLogger("asynctasq")

BEAT_SECONDS = 1.0
"""Between two questions how a process is."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
SETTLED_SECONDS = 10.0
"""A process that has lived this long did not die of its start."""
HURRY_SECONDS = 20.0
"""What processes get to end after the second signal."""
STARTING_SECONDS = 10.0
"""Time for a process that is still starting to end after the first signal."""
ORPHANS_LOOK_SECONDS = 0.05
"""Between looks whether the child processes of a worker that died have ended: the system kills them."""
ORPHANS_LOOKS = 200
ANSWER_LIMIT_BYTES = 2**26
CHILD_MODULE = b"asynctasq.executors.process.main"
"""In the command of the children that run process tasks."""


def pause_after(deaths: int) -> float:
    """Seconds before a process is started again that has died so many times in a row soon after its start."""
    if deaths == 0:
        return 0.0
    return min(FIRST_PAUSE_SECONDS * 2.0 ** (deaths - 1), LONGEST_PAUSE_SECONDS)


def how_it_ended(code: int) -> str:
    """In words; `code` as `subprocess` tells it."""
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
        self, command: Callable[[int, int], Sequence[str]], *, processes: int, burst: bool
    ) -> None:
        """Make a supervisor; nothing is started.

        Args:
            command: of the process with that number, given the descriptor of its leash.
            processes: how many, numbered from 1.
            burst: a process that ends with exit code 0 is not replaced: there is nothing more to do.
        """
        self._command = command
        self._burst = burst
        self._places = [WorkerProcess(number) for number in range(1, processes + 1)]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._signals = 0
        self._echoes = SignalDebouncer()
        self._ever_ran = False
        self._exit_code = 0
        self._dead_owners: set[str] = set()
        """Owners of crashed processes, until a living process has ended their leases."""
        self._background: set[asyncio.Task[None]] = set()
        self._death = asyncio.Event()
        """Replaced at each death."""

    async def run(self) -> int:
        """Start the processes; returns the exit code when all have ended."""
        self._loop = loop = asyncio.get_running_loop()
        heard = stop_signals_heard()
        for each in heard:
            loop.add_signal_handler(each, self._on_stop, each)
        loop.add_signal_handler(signal.SIGUSR1, self._forward, signal.SIGUSR1)
        try:
            async with asyncio.TaskGroup() as group:
                for place in self._places:
                    group.create_task(self._keep(place))
        finally:
            for place in self._places:
                place.kill()
            for ending in self._background:
                ending.cancel()
            for each in (*heard, signal.SIGUSR1):
                loop.remove_signal_handler(each)
        return self._exit_code

    # Told by signals.

    def _on_stop(self, received: signal.Signals) -> None:
        if not self._echoes.is_new():
            return
        self._signals += 1
        logger.info(
            "%s: %s",
            received.name,
            "worker processes stop." if self._signals == 1 else "worker processes hurry.",
        )
        self._stop()

    def _stop(self) -> None:
        self._stopping.set()
        for place in self._places:
            self._dismiss(place)

    def _dismiss(self, place: WorkerProcess) -> None:
        place.send(signal.SIGTERM)
        place.dismissed_at = time.monotonic()
        first = place.grace_period + END_SECONDS if place.ran else STARTING_SECONDS
        place.kill_in(first if self._signals < 2 else min(first, HURRY_SECONDS))

    def _forward(self, number: signal.Signals) -> None:
        for place in self._places:
            place.send(number)

    # One place.

    async def _keep(self, place: WorkerProcess) -> None:
        """Have a process in this place until told to stop, or until there is nothing more to do."""
        early_deaths = 0
        while not self._stopping.is_set():
            started_at = time.monotonic()
            try:
                code = await self._run_one(place)
            except (OSError, RuntimeError, MemoryError) as error:  # of descriptors, memory, threads
                early_deaths += 1
                await self._pause(place, pause_after(early_deaths), error)
                continue
            if self._stopping.is_set():
                logger.info("Worker process %d %s.", place.number, how_it_ended(code))
                return
            if code == 0 and self._burst:
                return
            if code in {1, 2} and not self._ever_ran:  # a wrong setting does not heal
                logger.error("Worker process %d could not start; nor can others.", place.number)
                self._exit_code = code
                self._stop()
                return
            lived = time.monotonic() - started_at
            early_deaths = 0 if lived >= SETTLED_SECONDS or code == 0 else early_deaths + 1
            pause = pause_after(early_deaths)
            if code == 0:
                pause = max(0.0, BEAT_SECONDS - lived)
            place.restarts += 1
            logger.log(
                logging.INFO if code == 0 else logging.ERROR,
                "Worker process %d (pid %s) %s; another starts%s.",
                place.number,
                place.pid,
                place.killed_because or how_it_ended(code),
                f" in {pause:.3g} s" if pause else "",
            )
            await self._pause(place, pause)

    async def _pause(
        self, place: WorkerProcess, seconds: float, error: BaseException | None = None
    ) -> None:
        """Wait before the next start, or until told to stop."""
        if error is not None:
            logger.error(
                "Worker process %d could not be started: %s: %s. Trying again in %.3g s.",
                place.number,
                type(error).__name__,
                error,
                seconds,
            )
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _run_one(self, place: WorkerProcess) -> int:
        """Run one process to its end; its exit code.

        Raises:
            OSError: it cannot be started.
            RuntimeError: the same, for want of threads.
        """
        process, reader, writer = await self._start(place.number)
        place.begin(process, reader, writer)
        if self._stopping.is_set():  # told while it was being started
            self._dismiss(place)
        watching = asyncio.create_task(self._watch(place))
        try:
            return await process.wait()
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            self._ever_ran = await place.has_run() or self._ever_ran
            place.end()
            if place.owner and not place.settled and not self._stopping.is_set():
                self._background.add(
                    ending := asyncio.create_task(self._end_leases_of(place.owner, process.pid))
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
                    process_group=0,  # Ctrl-C is for this process, which tells the others
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

    async def _watch(self, place: WorkerProcess) -> None:
        """Kill the process when its event loop has been blocked for longer than it may."""
        answered_at = time.monotonic()
        while True:
            death = self._death
            beat = await place.ask(self._question(place))
            if beat is not None:
                answered_at = time.monotonic()
                self._dead_owners.difference_update(beat.get("ended", ()))
                if beat["phase"] in {Phase.STARTING, Phase.RUNNING} and place.is_deaf():
                    await place.ask("stop")
            silence = time.monotonic() - answered_at
            if beat is not None and not beat["live"]:
                place.kill("was of no use any more, as its event loop was blocked, and was killed")
            elif silence > place.stall_limit:
                place.kill(f"had not answered for {silence:.0f} s and was killed")
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):
                    await death.wait()

    # Leases of processes that died.

    def _question(self, place: WorkerProcess) -> str:
        """How it is; and once it runs, it is to end the leases of those that died."""
        if not self._dead_owners or not place.ran:
            return "beat"
        return f"end {json.dumps(sorted(self._dead_owners))}"

    async def _end_leases_of(self, owner: str, group: int) -> None:
        """Have a living process end the leases of one that died, once the tasks of that are over.

        Its children are in its process group. The system kills them with it, which takes a moment; until
        then they may run its tasks. Where the system does not show them, leases end by themselves.
        """
        running: list[int] | None = None
        for _ in range(ORPHANS_LOOKS):
            running = children_in(group)
            if not running:
                break
            await asyncio.sleep(ORPHANS_LOOK_SECONDS)
        if running is None or running:
            return
        self._dead_owners.add(owner)
        death, self._death = self._death, asyncio.Event()
        death.set()

    # Health: called from other threads.

    def reports(self) -> dict[str, Callable[[], Report]]:
        """Of all processes together, by path."""
        return {
            "/livez": lambda: self._from_thread(self._verdict("live")),
            "/readyz": lambda: self._from_thread(self._verdict("ready")),
            "/status": lambda: self._from_thread(self._status()),
        }

    def _from_thread(self, report: Coroutine[Any, Any, Report]) -> Report:
        if self._loop is None:
            report.close()
            return {"ok": False, "problems": ["no process has been started"]}
        try:
            return asyncio.run_coroutine_threadsafe(report, self._loop).result(2 * ANSWER_SECONDS)
        except (TimeoutError, RuntimeError):
            return {"ok": False, "problems": ["the supervisor does not answer"]}

    async def _status(self) -> Report:
        told = await asyncio.gather(*(place.ask("status") for place in self._places))
        return {
            "pid": os.getpid(),
            "processes": [
                {
                    "number": place.number,
                    "pid": place.pid,
                    "restarts": place.restarts,
                    "status": status,
                }
                for place, status in zip(self._places, told, strict=True)
            ],
        }

    async def _verdict(self, field: str) -> Report:
        """Good if that of one process is: the others are being replaced, or will be."""
        told = [each["status"] for each in (await self._status())["processes"]]
        verdicts = [each[field] for each in told if each is not None and field in each]
        starting = field == "live" and not all(told)
        good = any(each is True or (each is not True and each["ok"]) for each in verdicts)
        return {
            "ok": good or starting,
            "problems": [] if good else ["no process is"],
            field: verdicts,
        }


def children_in(group: int) -> list[int] | None:
    """Return the child processes of workers in a process group; None where the system does not show them."""
    if not Path("/proc/self/stat").exists():
        return None
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            state, _, its_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(its_group) != group or state in "ZX":
                continue
            if CHILD_MODULE in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def interpreter_command() -> list[str]:
    """How this process was started: interpreter, its options, script and arguments."""
    return [sys.executable, *sys.orig_argv[1:]]
