"""Keeps a number of worker processes running: starts them, replaces those that die, stops them all."""

import asyncio
import json
import logging
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from asynctasq.worker.health import Phase, Report
from asynctasq.worker.leash import DEAF_SECONDS, END_SECONDS, GRACE_SECONDS
from asynctasq.worker.signals import Echoes, stop_signals_heard

logger = logging.getLogger("asynctasq")

START_SECONDS = 60.0
"""For which a process that begins may be silent, before it has told its own limit."""
BEAT_SECONDS = 1.0
"""Between two questions how a process is."""
ANSWER_SECONDS = 5.0
"""What it gets to answer; its leash answers even when its event loop is blocked."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
SETTLED_SECONDS = 10.0
"""A process that has lived this long did not die of its start."""
LAST_WORDS_SECONDS = 0.5
"""For what a process has told before it ended to be read."""
HURRY_SECONDS = 20.0
"""What processes get to end after the second signal."""
ANSWER_LIMIT_BYTES = 2**26


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
        self._places = [Place(number) for number in range(1, processes + 1)]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._signals = 0
        self._echoes = Echoes()
        self._ever_ran = False
        self._exit_code = 0

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

    def _dismiss(self, place: "Place") -> None:
        place.send(signal.SIGTERM)
        place.dismissed_at = time.monotonic()
        place.kill_in(place.grace_period + END_SECONDS if self._signals < 2 else HURRY_SECONDS)

    def _forward(self, number: signal.Signals) -> None:
        for place in self._places:
            place.send(number)

    # One place.

    async def _keep(self, place: "Place") -> None:
        """Have a process in this place until told to stop, or until there is nothing more to do."""
        early_deaths = 0
        while not self._stopping.is_set():
            started_at = time.monotonic()
            code = await self._run_one(place)
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
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    async def _run_one(self, place: "Place") -> int:
        """Run one process to its end; its exit code."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *self._command(place.number, theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for this process, which tells the others
            )
        reader, writer = await asyncio.open_connection(sock=ours, limit=ANSWER_LIMIT_BYTES)
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

    async def _watch(self, place: "Place") -> None:
        """Kill the process when its event loop has been blocked for longer than it may."""
        answered_at = time.monotonic()
        while True:
            beat = await place.ask("beat")
            if beat is not None:
                answered_at = time.monotonic()
                if beat["phase"] == Phase.RUNNING and place.is_deaf():
                    await place.ask("stop")
            silence = time.monotonic() - answered_at
            if beat is not None and not beat["live"]:
                place.kill("was of no use any more, as its event loop was blocked, and was killed")
            elif silence > place.stall_limit:
                place.kill(f"had not answered for {silence:.0f} s and was killed")
            await asyncio.sleep(BEAT_SECONDS)

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


class Place:
    """Where a process runs, and another when that has died."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.restarts = 0
        self.pid: int | None = None
        """Of the process that is there now, or was last."""
        self.grace_period = GRACE_SECONDS
        self.stall_limit = START_SECONDS
        self.killed_because = ""
        self.dismissed_at = math.inf
        """When it was told to end."""
        self._ran = False
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._asking = asyncio.Lock()
        self._questions = 0
        self._killing: asyncio.TimerHandle | None = None

    def begin(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """A process has been started here."""
        self._process, self._reader, self._writer = process, reader, writer
        self.pid = process.pid
        self.stall_limit = START_SECONDS
        self.killed_because = ""
        self.dismissed_at = math.inf
        self._ran = False

    def end(self) -> None:
        """It has ended."""
        if self._killing is not None:
            self._killing.cancel()
            self._killing = None
        if self._writer is not None:
            self._writer.close()
        self._process = self._reader = self._writer = None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if there is one."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def kill(self, because: str = "") -> None:
        """End it at once."""
        self.killed_because = because
        self.send(signal.SIGKILL)

    def kill_in(self, seconds: float) -> None:
        """End it, unless it ends by itself within that time."""
        if self._killing is not None:
            self._killing.cancel()
        self._killing = asyncio.get_running_loop().call_later(
            seconds, self.kill, f"did not end within {seconds:.3g} s and was killed"
        )

    async def ask(self, question: str) -> Report | None:
        """Its answer; None if there is none in time."""
        async with self._asking:
            reader, writer = self._reader, self._writer
            if reader is None or writer is None:
                return None
            self._questions += 1
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    writer.write(b"%d %s\n" % (self._questions, question.encode()))
                    await writer.drain()
                    while line := await reader.readline():
                        number, _, answer = line.partition(b" ")
                        report = self._heard(json.loads(answer))
                        if int(number) == self._questions:  # others are late, or nobody has asked
                            return report
            except (OSError, ValueError):  # a TimeoutError is one
                pass
            return None

    async def has_run(self) -> bool:
        """Whether it has got as far as running tasks; to be asked when it has ended."""
        if self._reader is not None:
            with suppress(OSError, ValueError):  # a TimeoutError, as a fork of it may live on
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    while line := await self._reader.readline():
                        self._heard(json.loads(line.partition(b" ")[2]))
        return self._ran

    def is_deaf(self) -> bool:
        """Whether it should have heard long ago that it is to end."""
        return time.monotonic() - self.dismissed_at > DEAF_SECONDS

    def _heard(self, report: Report) -> Report:
        self._ran = self._ran or report.get("phase") == Phase.RUNNING
        self.grace_period = report.get("grace_period", self.grace_period)
        self.stall_limit = report.get("stall_limit", self.stall_limit)
        return report


def interpreter_command() -> list[str]:
    """How this process was started: interpreter, its options, script and arguments."""
    return [sys.executable, *sys.orig_argv[1:]]
