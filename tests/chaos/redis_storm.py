"""Redis under whatever happens to servers, connections and workers: what has to hold in the end.

    python -m tests.chaos.redis_storm [--seconds N] [--seed N] [WEATHER ...]

While tasks are dispatched and run, connections are killed, the server is restarted, workers are killed,
the network fails, or sentinels name another primary. Then every task that was accepted has run, none is
stuck, none has a second copy, and none ran again but by another lease, nor ended twice.
"""

import argparse
import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from asynctasq import App
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import id_from_text
from asynctasq.testing import TcpProxy
from tests.chaos import redis_storm_tasks as storm_tasks
from tests.servers.redis import (
    RedisServer,
    owner_of,
    redis_cluster,
    redis_sentinels,
    redis_server,
)

TASKS_FILE = Path(storm_tasks.__file__)
DISPATCHERS = 10
PATIENCE_SECONDS = 60.0
LASTING = ("--appendonly", "yes", "--appendfsync", "always")


@dataclass
class Report:
    """What a storm was like."""

    weather: str
    seed: int
    strikes: int = 0
    accepted: dict[int, str] = field(default_factory=dict[int, str])
    """Number of a task to its id."""
    refused: int = 0
    repeated: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        parts = [
            f"{self.weather}, seed {self.seed}: {self.strikes} strikes in {self.seconds:.0f} s",
            f"{len(self.accepted)} accepted, {self.refused} refused, {self.repeated} run again",
            *(f"PROBLEM: {each}" for each in self.problems[:20]),
        ]
        return "\n  ".join(parts)


@dataclass
class Weather:
    """What happens, to whom."""

    url: str
    """As clients reach the store."""
    strike: Callable[["Crew", random.Random], Awaitable[None]]
    pause: float
    """Seconds between two strikes."""
    most: int = 1000
    """Strikes in all."""
    tokens_last: bool = True
    """Whether a token that was given is not given again: a primary may be lost with what only it knew."""


class Crew:
    """Worker processes; those that end are replaced."""

    def __init__(self, folder: Path, url: str, size: int) -> None:
        self._folder = folder
        self._environment = {**os.environ, storm_tasks.URL: url}
        self._output = (folder / "workers.log").open("wb")
        self._size = size
        self._workers: list[subprocess.Popen[bytes]] = []

    def recruit(self) -> None:
        """Replace those that have ended."""
        self._workers = [each for each in self._workers if each.poll() is None]
        command = [
            sys.executable,
            "-m",
            "asynctasq.cli",
            "worker",
            "--app",
            "redis_storm_tasks:app",
        ]
        while len(self._workers) < self._size:
            self._workers.append(
                subprocess.Popen(
                    [*command, "--concurrency", "20", "--log-level", "warning"],
                    cwd=self._folder,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=self._output,
                    stderr=self._output,
                )
            )

    def kill_one(self, chance: random.Random) -> None:
        """As the kernel does it."""
        chance.choice(self._workers).kill()

    async def dismiss(self) -> None:
        """End them."""
        for each in self._workers:
            each.terminate()
        for each in self._workers:
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(each.wait, 20)

    def close(self) -> None:
        """End everything, whatever happened."""
        for each in self._workers:
            each.kill()
            each.wait()
        self._output.close()


# Kinds of weather.


@contextmanager
def connections(folder: Path) -> Iterator[Weather]:
    """The server cuts every connection, once a second."""
    with redis_server(folder) as server:

        async def strike(_crew: Crew, _chance: random.Random) -> None:
            await asyncio.to_thread(cut_all, server)

        yield Weather(server.url, strike, pause=1.0)


def cut_all(server: RedisServer) -> None:
    """Kill the connections of all clients."""
    with server.client() as client:
        for kind in ("normal", "pubsub"):
            client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


@contextmanager
def restarts(folder: Path) -> Iterator[Weather]:
    """The server is killed and started again, every ten seconds."""
    with redis_server(folder, *LASTING) as server:

        async def strike(_crew: Crew, _chance: random.Random) -> None:
            await asyncio.to_thread(server.restart, signal.SIGKILL)

        yield Weather(server.url, strike, pause=10.0)


@contextmanager
def workers(folder: Path) -> Iterator[Weather]:
    """Workers are killed."""
    with redis_server(folder) as server:

        async def strike(crew: Crew, chance: random.Random) -> None:
            crew.kill_one(chance)

        yield Weather(server.url, strike, pause=2.0)


@contextmanager
def network(folder: Path) -> Iterator[Weather]:
    """What lies between delays, cuts, drops, and leaves connections half open."""
    with redis_server(folder) as server, TcpProxy(server.url) as proxy:

        async def strike(_crew: Crew, chance: random.Random) -> None:
            kind = chance.choice(["cut", "reset", "freeze", "delay", "refuse"])
            if kind == "freeze":
                proxy.freeze()
                await asyncio.sleep(chance.uniform(0.2, 3.0))
                chance.choice([proxy.thaw, proxy.reset])()
                proxy.thaw()
            elif kind == "refuse":
                proxy.refuse()
                await asyncio.sleep(chance.uniform(0.1, 1.0))
                proxy.accept()
            elif kind == "delay":
                proxy.delay = 0.05
                await asyncio.sleep(0.5)
                proxy.delay = 0.0
            else:
                chance.choice([proxy.cut, proxy.reset])()

        yield Weather(f"{proxy.url}?timeout=1.5", strike, pause=0.7)


@contextmanager
def fail_over(folder: Path) -> Iterator[Weather]:
    """The primary is killed, and sentinels name another."""
    with redis_sentinels(folder) as servers:

        async def strike(_crew: Crew, _chance: random.Random) -> None:
            await asyncio.to_thread(servers.primary.process.stop, signal.SIGKILL)

        url = f"{servers.url}?wait_replicas=1&wait_replicas_timeout=0.2&timeout=2"
        yield Weather(url, strike, pause=5.0, most=1, tokens_last=False)


@contextmanager
def cluster(folder: Path) -> Iterator[Weather]:
    """A primary of a cluster is killed, its replica takes its place, and it comes back as a replica."""
    with redis_cluster(folder, *LASTING, replicas=1) as nodes:

        async def strike(_crew: Crew, _chance: random.Random) -> None:
            await asyncio.to_thread(replace_owner, nodes)

        hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        url = f"redis+cluster://{hosts}?wait_replicas=1&wait_replicas_timeout=0.2&timeout=2"
        yield Weather(url, strike, pause=4.0, most=2, tokens_last=False)


def replace_owner(nodes: list[RedisServer]) -> None:
    """Kill the primary that has our keys, and start it again when another has its place."""
    asked = list(nodes)
    owner = asked.pop(owner_of(nodes, "asynctasq"))
    _until(lambda: _has_a_replica(owner))  # which can take its place
    owner.process.stop(signal.SIGKILL)
    _until(lambda: _know_their_owner(asked))
    owner.restart()


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError("the cluster does not come to rest")
        time.sleep(0.1)


def _has_a_replica(server: RedisServer) -> bool:
    with server.client() as client:
        told: Any = client.info("replication")
    return "slave0" in told and told["slave0"]["state"] == "online"


def _know_their_owner(nodes: list[RedisServer]) -> bool:
    try:
        owner_of(nodes, "asynctasq")
    except ValueError:  # it is none of these
        return False
    return True


@contextmanager
def everything(folder: Path) -> Iterator[Weather]:
    """A little of all that one server can suffer."""
    with redis_server(folder, *LASTING) as server, TcpProxy(server.url) as proxy:
        kinds = iter(["cut", "kill", "restart", "reset", "freeze", "kill", "cut"])

        async def strike(crew: Crew, chance: random.Random) -> None:
            kind = next(kinds, "cut")
            if kind == "kill":
                crew.kill_one(chance)
            elif kind == "restart":
                await asyncio.to_thread(server.restart, signal.SIGKILL)
            elif kind == "reset":
                proxy.reset()
            elif kind == "freeze":
                proxy.freeze()
                await asyncio.sleep(0.5)
                proxy.thaw()
            else:
                await asyncio.to_thread(cut_all, server)

        yield Weather(f"{proxy.url}?timeout=1.5", strike, pause=0.3, most=7)


WEATHERS = {
    each.__name__: each
    for each in (connections, restarts, workers, network, fail_over, cluster, everything)
}


async def storm(name: str, folder: Path, *, seconds: float, seed: int) -> Report:
    """Let it rage for so long, then wait for the end."""
    report = Report(name, seed)
    chance = random.Random(seed)
    work_folder = folder / "work"
    work_folder.mkdir()
    shutil.copy(TASKS_FILE, work_folder)
    begun_at = time.monotonic()
    with WEATHERS[name](folder / "server") as weather:
        crew = Crew(work_folder, weather.url, 2)
        try:
            async with _opened(App({"driver": weather.url})) as app:
                await _until_one_has_run(app, crew, work_folder, report)
                ends_at = time.monotonic() + seconds
                async with asyncio.TaskGroup() as group:
                    numbers = iter(range(1, 10**9))
                    for _ in range(DISPATCHERS):
                        group.create_task(_dispatch(app, numbers, ends_at, report))
                    group.create_task(_rage(weather, crew, ends_at, chance, report))
                crew.recruit()
                await _until_empty(app, report)
            await crew.dismiss()
        finally:
            crew.close()
        _check(work_folder, weather, report)
    report.seconds = time.monotonic() - begun_at
    return report


@asynccontextmanager
async def _opened(app: App) -> AsyncIterator[App]:
    """Sentinels that have just been started may not have agreed yet."""
    await _persistently(app.open)
    try:
        yield app
    finally:
        await app.close()


async def _persistently(call: Callable[[], Awaitable[Any]]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await call()
        except DriverUnavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


async def _until_one_has_run(app: App, crew: Crew, folder: Path, report: Report) -> None:
    firsts = count(
        0, -1
    )  # one that is refused may run all the same, and is not that which is accepted

    async def dispatch() -> None:
        number = next(firsts)
        report.accepted[number] = id_from_text(await app.dispatch(storm_tasks.work(number))).hex()

    await _persistently(dispatch)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (folder / "effects.log").exists():
        crew.recruit()
        if time.monotonic() > deadline:
            raise RuntimeError((folder / "workers.log").read_text()[-2000:])
        await asyncio.sleep(0.05)


async def _dispatch(app: App, numbers: Iterator[int], ends_at: float, report: Report) -> None:
    while time.monotonic() < ends_at:
        number = next(numbers)
        try:
            handle = await app.dispatch(storm_tasks.work(number))
            report.accepted[number] = id_from_text(handle).hex()
        except DriverError:
            report.refused += 1  # it may run all the same
        await asyncio.sleep(0.02)


async def _rage(
    weather: Weather, crew: Crew, ends_at: float, chance: random.Random, report: Report
) -> None:
    while time.monotonic() < ends_at and report.strikes < weather.most:
        await asyncio.sleep(weather.pause)
        await weather.strike(crew, chance)
        report.strikes += 1
        crew.recruit()


async def _until_empty(app: App, report: Report) -> None:
    driver: Any = await app.driver()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        counts = await _persistently(lambda: driver.count("default"))
        if not counts.ready + counts.scheduled + counts.leased:
            if counts.dead:
                report.problems.append(f"{counts.dead} are dead")
            return
        if time.monotonic() > deadline:
            report.problems.append(f"not done in time: {counts}")
            return
        await asyncio.sleep(0.1)


def _check(folder: Path, weather: Weather, report: Report) -> None:
    ran: dict[int, list[str]] = defaultdict(list)
    for line in (folder / "effects.log").read_text().splitlines():
        number, message_id = line.split()
        ran[int(number)].append(message_id)
    leases: dict[str, list[str]] = defaultdict(list)
    ended: Counter[str] = Counter()
    for line in (folder / "audit.log").read_text().splitlines():
        what, message_id, token, *rest = line.split()
        if what == "reserve":
            leases[message_id].append(token)
        elif rest == ["Complete", "DONE"]:
            ended[message_id] += 1
    _check_runs(ran, leases, report)
    if weather.tokens_last:
        _check_leases(leases, ended, report)


def _check_runs(ran: dict[int, list[str]], leases: dict[str, list[str]], report: Report) -> None:
    for number, accepted in report.accepted.items():
        if number not in ran:
            report.problems.append(f"task {number} was accepted and never ran")
        elif set(ran[number]) != {accepted}:
            report.problems.append(f"task {number} has copies: {ran[number]}, {accepted}")
    for number, ids in ran.items():
        report.repeated += len(ids) - 1
        if len(set(ids)) > 1:
            report.problems.append(f"task {number} has copies: {ids}")
        if len(ids) > len(leases[ids[0]]):
            report.problems.append(f"task {number} ran {len(ids)} times by {leases[ids[0]]}")


def _check_leases(leases: dict[str, list[str]], ended: Counter[str], report: Report) -> None:
    for message_id, tokens in leases.items():
        if len(set(tokens)) < len(tokens):
            report.problems.append(f"{message_id} was given twice by one token: {tokens}")
        if ended[message_id] > 1:
            report.problems.append(f"{message_id} ended {ended[message_id]} times")


def main() -> None:
    """Rage, print reports, and fail if there is a problem."""
    parser = argparse.ArgumentParser()
    parser.add_argument("weather", nargs="*", metavar="WEATHER", default=[])
    parser.add_argument("--seconds", type=float, default=18.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    given = parser.parse_args()
    if unknown := set(given.weather) - set(WEATHERS):
        parser.error(f"no such weather: {', '.join(unknown)}; known: {', '.join(WEATHERS)}")
    failed = False
    for name in given.weather or list(WEATHERS):
        folder = Path(tempfile.mkdtemp(prefix=f"storm-{name}-"))
        report = asyncio.run(storm(name, folder, seconds=given.seconds, seed=given.seed))
        print(report, flush=True)
        if report.problems:
            failed = True
            print(f"Everything is kept in {folder}.")
        else:
            shutil.rmtree(folder)
    sys.exit(failed)


if __name__ == "__main__":
    main()
