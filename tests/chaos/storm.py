"""Workers under random signals, and tasks that misbehave: what has to hold in the end.

    python -m tests.chaos.storm [--tasks N] [--workers N] [--strikes N] [--seconds N] [--seed N]

Every message has its effect, or stands in the dead letters with the true reason; each of its leases has
its own token, which settles it once at the most; runs and losses stay within their limits; no process
outlives the workers; nothing is left in the store but results and dead letters.
"""

import argparse
import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asynctasq import App
from asynctasq.contracts.capabilities import DeadLetter
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.message import State, id_from_text
from asynctasq.settlement import Reason, Settled
from asynctasq.testing.conformance.kit import let_tidy

TASKS_FILE = Path(__file__).with_name("storm_tasks.py")
MARK = "STORM_MARK"
"""Of every process of a storm, whoever its parent is."""
MAX_LOST = 3

ORDINARY = {"quick": 70, "in_thread": 15, "elsewhere": 8, "elsewhere_async": 7}
"""Share of each, in percent."""
NASTY = {
    "flaky": 1 / 100,
    "flaky_in_thread": 1 / 1000,
    "flaky_elsewhere": 1 / 1000,
    "hopeless": 1 / 200,
    "rejected": 1 / 200,
    "snoozing": 1 / 200,
    "slow_in_thread": 1 / 200,
    "exits": 1 / 12500,
    "killed_for_memory": 1 / 12500,
    "grows": 1 / 12500,
    "grows_worker": 1 / 12500,
    "hangs": 1 / 12500,
    "blocking": 1 / 5000,
    "exits_worker": 1 / 5000,
}
"""How many there are of each for one task; one at least. Those that cost a process or block are few:
starting another takes as long as a thousand tasks."""
DIES_OF = {
    "hopeless": (Reason.FAILED, "storm_tasks.Trouble"),
    "rejected": (Reason.REJECTED, "Reject"),
    "exits": (Reason.FAILED, "ChildDied"),
    "hangs": (Reason.FAILED, "TaskTimeout"),
}
"""Tasks that never have an effect: reason, and how the name of the error ends."""


@dataclass
class Report:
    """What a storm was like."""

    seed: int
    tasks: int
    signals: Counter[str] = field(default_factory=Counter)
    workers_started: int = 0
    seconds: float = 0.0
    completed: int = 0
    repeated: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    lost_leases: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [
            f"seed {self.seed}: {self.tasks} tasks in {self.seconds:.0f} s",
            f"{self.workers_started} workers started",
            "signals: " + (", ".join(f"{n} {name}" for name, n in self.signals.items()) or "none"),
            f"{self.completed} completed, {self.repeated} effects repeated",
            f"{self.lost_leases} settlements of lost leases refused",
            "dead: " + (", ".join(f"{n} {name}" for name, n in self.dead.items()) or "none"),
            *(f"PROBLEM: {each}" for each in self.problems[:20]),
        ]
        return "\n  ".join(parts)


class Crew:
    """Worker processes; those that end are replaced."""

    def __init__(self, folder: Path, size: int, report: Report) -> None:
        self._folder = folder
        self._report = report
        self._workers: list[subprocess.Popen[bytes]] = []
        self._killed: set[subprocess.Popen[bytes]] = set()
        self._size = size
        self._mark = uuid.uuid4().hex
        self._output = (folder / "workers.log").open("wb")
        self.recruit()

    def recruit(self) -> None:
        """Replace those that have ended."""
        self._workers = [each for each in self._workers if each.poll() is None]
        while len(self._workers) < self._size:
            arguments = (
                "--app storm_tasks:app --concurrency 60 --process-pool-size 1 --max-memory 400M "
                "--log-level warning"
            )
            self._workers.append(
                subprocess.Popen(
                    [sys.executable, "-m", "asynctasq.cli", "worker", *arguments.split()],
                    cwd=self._folder,
                    env={**os.environ, MARK: self._mark},
                    stdin=subprocess.DEVNULL,
                    stdout=self._output,
                    stderr=self._output,
                )
            )
            self._report.workers_started += 1

    async def strike(self, chance: random.Random, stops: Sequence[float]) -> None:
        """Send one of them a signal."""
        worker = chance.choice(self._workers)
        name = chance.choice(["SIGKILL", "SIGKILL", "SIGTERM", "SIGSTOP"])
        self._report.signals[name] += 1
        worker.send_signal(signal.Signals[name])
        if name == "SIGKILL":
            self._killed.add(worker)
        if name == "SIGSTOP":
            await asyncio.sleep(chance.choice(stops))
            worker.send_signal(signal.SIGCONT)

    async def dismiss(self) -> None:
        """End them; whatever does not is a problem, as is whatever they leave behind."""
        for each in self._workers:
            each.send_signal(signal.SIGTERM)
        for each in self._workers:
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(each.wait, 30)
            expected = {0, -signal.SIGTERM}  # the latter while it only starts
            if each in self._killed:  # by the last strike: nobody has replaced it
                expected.add(-signal.SIGKILL)
            if each.returncode not in expected:
                self._report.problems.append(f"a worker's exit code is {each.returncode}")
        patience = time.monotonic() + 10
        while (left := list(self._marked())) and time.monotonic() < patience:
            await asyncio.sleep(0.1)
        if left:
            self._report.problems.append(f"orphans: {left}")

    def close(self) -> None:
        """End everything, whatever happened."""
        for pid, _ in self._marked():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for each in self._workers:
            each.wait()
        self._output.close()

    def _marked(self) -> Iterator[tuple[int, str]]:
        mark = f"{MARK}={self._mark}".encode()
        for each in Path("/proc").iterdir():
            if each.name.isdigit():
                with suppress(OSError):
                    if mark in (each / "environ").read_bytes().split(b"\0"):
                        yield int(each.name), (each / "cmdline").read_bytes().decode()


async def storm(
    folder: Path,
    *,
    tasks: int,
    workers: int,
    strikes: int,
    seconds: float,
    seed: int,
    pause: float = 2.0,
    stops: Sequence[float] = (0.1, 1.0, 3.5),
) -> Report:
    """Let it rage, then wait for the end.

    Args:
        folder: an empty one, the current folder of the workers.
        tasks: how many ordinary ones.
        workers: how many at once.
        strikes: how many signals at the most.
        seconds: after which what is not done is a problem.
        seed: of the order of tasks and of the signals.
        pause: the longest between two signals, in seconds.
        stops: how long a worker may stand still, in seconds; after more than a lease it comes back too late.
    """
    report = Report(seed, 0)
    chance = random.Random(seed)
    shutil.copy(TASKS_FILE, folder)
    started_at = time.monotonic()
    template = SqliteDriver(path=folder / "storm.db", synchronous="normal")
    with _importable(folder) as module:
        async with App({"driver": template, **module.OF_DISPATCH}) as app:
            kinds = _kinds(tasks, chance)
            report.tasks = len(kinds)
            calls = [getattr(module, kind)(n) for n, kind in enumerate(kinds)]
            ids = [id_from_text(handle) for handle in await app.dispatch_many(calls)]
            driver: Any = await app.driver()
            crew = Crew(folder, workers, report)
            try:
                while True:
                    passed = time.monotonic() - started_at
                    counts = await driver.count("default")
                    left = counts.ready + counts.scheduled + counts.blocked + counts.leased
                    if not left:
                        break
                    if passed > seconds:
                        report.problems.append(f"not done in time: {counts}")
                        break
                    await asyncio.sleep(chance.uniform(0.2, 0.2 + pause))
                    if report.signals.total() < strikes:
                        await crew.strike(chance, stops)
                    crew.recruit()
                await crew.dismiss()
            finally:
                crew.close()
            if not left:
                await _check_ends(driver, folder, kinds, ids, report)
                await _check_rest(driver, folder, report)
            _check_audit(folder, set(ids), report, module.MAX_ATTEMPTS)
    report.seconds = time.monotonic() - started_at
    return report


def _kinds(tasks: int, chance: random.Random) -> list[str]:
    kinds = chance.choices(list(ORDINARY), list(ORDINARY.values()), k=tasks)
    for kind, share in NASTY.items():
        kinds += [kind] * max(1, round(tasks * share))
    chance.shuffle(kinds)
    return kinds


@contextmanager
def _importable(folder: Path) -> Iterator[Any]:
    import importlib

    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    before = Path.cwd()
    os.chdir(folder)  # its app names the store by a relative path
    try:
        yield importlib.import_module("storm_tasks")
    finally:
        os.chdir(before)
        sys.path.remove(str(folder))
        sys.modules.pop("storm_tasks", None)


async def _check_ends(
    driver: Any, folder: Path, kinds: list[str], ids: list[bytes], report: Report
) -> None:
    """Each message has ended as its task, or the end of its workers, says."""
    effects = Counter(map(int, (folder / "effects.log").read_text().split()))
    report.repeated = sum(count - 1 for count in effects.values())
    dead: dict[bytes, DeadLetter] = {}
    cursor = None
    while True:
        page = await driver.dead_letters(limit=1000, cursor=cursor)
        dead.update((each.message.id, each) for each in page.items)
        cursor = page.cursor
        if cursor is None:
            break
    outcomes = [o for i in range(0, len(ids), 500) for o in await driver.results(ids[i : i + 500])]
    for n, (kind, outcome) in enumerate(zip(kinds, outcomes, strict=True)):
        if outcome is None:
            report.problems.append(f"{kind} {n} is lost")
        elif outcome.state is State.COMPLETED:
            report.completed += 1
            if not effects[n] or kind in DIES_OF:
                report.problems.append(f"{kind} {n} is completed without its effect")
        else:
            letter = dead[ids[n]]
            report.dead[f"{kind} ({letter.reason.value})"] += 1
            if (problem := _untrue(kind, letter)) is not None:
                report.problems.append(f"{kind} {n} is dead: {problem}")


def _untrue(kind: str, letter: DeadLetter) -> str | None:
    """Why the reason of a death cannot be true."""
    error = letter.error.type if letter.error is not None else ""
    if letter.reason is Reason.LOST:
        return None if letter.lost == MAX_LOST + 1 else f"lost {letter.lost} times"
    reason, name = DIES_OF.get(kind, (None, ""))
    if letter.reason is not reason or not error.endswith(name):
        return f"{letter.reason.value}, {letter.error}"
    most = letter.message.max_attempts if reason is Reason.FAILED else letter.attempts
    return None if letter.attempts == most else f"after {letter.attempts} runs"


def _check_audit(folder: Path, ids: set[bytes], report: Report, max_attempts: int) -> None:
    """Tokens grow, settle once, and counts stay within their limits."""
    # A worker may be stopped between what it did and the line about it: lines are not in order.
    delivered: dict[str, set[int]] = defaultdict(set)
    settled: dict[str, list[int]] = defaultdict(list)
    final: dict[str, list[int]] = defaultdict(list)
    for line in (folder / "audit.log").read_text().splitlines():
        what, id_, token, *rest = line.split()
        if what == "reserve":
            attempt, lost = map(int, rest)
            if int(token) in delivered[id_]:
                report.problems.append(f"{id_} was delivered twice with the token {token}")
            delivered[id_].add(int(token))
            if attempt >= max_attempts or lost > MAX_LOST:
                report.problems.append(f"{id_} was delivered after {attempt} runs, lost {lost}")
        elif rest[1] == Settled.LOST.name:
            report.lost_leases += 1
        else:
            settled[id_].append(int(token))
            if rest[0] in {"Complete", "Fail", "Cancelled"}:
                final[id_].append(int(token))
    for id_, tokens in settled.items():
        if len(set(tokens)) < len(tokens):
            report.problems.append(f"{id_} was settled twice with one token: {tokens}")
        if final[id_] and final[id_] != [max(tokens)]:
            report.problems.append(f"{id_} was settled after its end: {tokens}, {final[id_]}")
    strange = {bytes.fromhex(each) for each in delivered} - ids
    if strange:
        report.problems.append(f"{len(strange)} messages come from nowhere")


async def _check_rest(driver: Any, folder: Path, report: Report) -> None:
    """Once results are past their time, only dead letters are left."""
    driver.clock_offset = 7200.0
    await let_tidy(driver)
    for _ in range(report.tasks // 100 + 10):
        await driver.reserve({"nothing": 1}, limit=1, owner="upkeep", lease=1.0)
    driver.clock_offset = 14400.0
    await driver.reserve({"nothing": 1}, limit=1, owner="upkeep", lease=1.0)
    with sqlite3.connect(folder / "storm.db") as store:
        rows = {
            "messages": store.execute("SELECT count(*) FROM messages WHERE reason IS NULL"),
            "unique keys": store.execute("SELECT count(*) FROM unique_keys"),
            "workers": store.execute("SELECT count(*) FROM workers"),
            "owners of leases": store.execute(
                "SELECT count(*) FROM owners WHERE namespace != 0 AND name != 'upkeep'"
            ),
        }
        for name, found in rows.items():
            [(count,)] = found.fetchall()
            if count:
                report.problems.append(f"{count} {name} are left in the store")
    store.close()


def main() -> None:
    """Rage, print a report, and fail if there is a problem."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--strikes", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=270.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="storm-"))
    report = asyncio.run(
        storm(
            folder,
            tasks=given.tasks,
            workers=given.workers,
            strikes=given.strikes,
            seconds=given.seconds,
            seed=given.seed,
            pause=2.5,
            stops=(0.1, 3.0, 5.0),
        )
    )
    print(report)
    if report.problems:
        print(f"Everything is kept in {folder}.")
        sys.exit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
