"""gylo doing the same work. Runs in its own environment: its worker in Rust, with one Python child.

The child imports this module too. It reports its first and its last task to the program that measures.
"""

import asyncio
import importlib
import os
import socket
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.programs.commands import run_command
from benchmarks.programs.counting import TEXT
from benchmarks.programs.protocol import answer, asked
from benchmarks.programs.starts import latencies, tell_start

AT_ONCE = 1000
REPORTS, TASKS = "BENCH_GYLO_REPORTS", "BENCH_GYLO_TASKS"
"""Variables of the child: where it reports, and after how many tasks."""
GYLO = Path(sys.executable).parent / "gylo"
TICK = os.sysconf("SC_CLK_TCK")


class Registry:
    """The application, and the tasks that the child has run."""

    def __init__(self) -> None:
        self.app: Any = importlib.import_module("gylo").Gylo()
        self.noop = self.app.task(name="noop", store_result=True)(self._noop)
        self.note_start = self.app.task(name="note_start")(self._note_start)
        self._ran = 0
        self._last = int(os.environ.get(TASKS, "0"))

    async def _noop(self, number: int, text: str) -> int:
        self._ran += 1
        if self._last and self._ran in {1, self._last}:
            tell_start(os.environ[REPORTS])
        return number

    async def _note_start(self, path: str) -> None:
        tell_start(path)


registry = Registry()
app = registry.app


async def version(url: str) -> None:
    metadata = importlib.import_module("importlib.metadata")
    answer(version=metadata.version("gylo"), client=f"asyncpg {metadata.version('asyncpg')}")


async def install(url: str) -> None:
    await run_command(str(GYLO), "--database-url", url, "migrate")
    answer()


async def _connect(url: str) -> Any:
    return await importlib.import_module("asyncpg").connect(url)


async def bulk(url: str, *, tasks: int) -> None:
    """Enqueue a thousand in one pipelined statement."""
    connection = await _connect(url)
    cpu, wall = time.process_time(), time.perf_counter()
    for start in range(0, tasks, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, tasks))
        await registry.noop.enqueue_many(connection, [((n, TEXT), {}) for n in numbers])
    answer(cpu_seconds=time.process_time() - cpu, seconds=time.perf_counter() - wall)
    await connection.close()


async def single(url: str, *, tasks: int) -> None:
    """Enqueue one, wait until it is accepted, enqueue the next."""
    connection = await _connect(url)
    await registry.noop.enqueue(connection, 0, TEXT)
    cpu, wall = time.process_time(), time.perf_counter()
    for number in range(tasks):
        await registry.noop.enqueue(connection, number, TEXT)
    answer(cpu_seconds=time.process_time() - cpu, seconds=time.perf_counter() - wall)
    await connection.close()


def _worker(url: str) -> list[str]:
    module = "benchmarks.programs.gylo_tasks:app"
    command = [str(GYLO), "--database-url", url, "worker", "--app", module]
    return [*command, "--processes", "1", "--python", sys.executable]


def _cpu_seconds(pid: int) -> float:
    """Return the processor time of the worker and its child."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    pids = [str(pid), *(child for listing in children for child in listing.read_text().split())]
    stats = [Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split() for each in pids]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / TICK


@contextmanager
def _reports() -> Iterator[tuple[str, socket.socket]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver,
    ):
        path = str(Path(folder) / "reports")
        receiver.bind(path)
        receiver.setblocking(False)
        yield path, receiver


async def _report(receiver: socket.socket) -> int:
    async with asyncio.timeout(120):
        return int.from_bytes(await asyncio.get_running_loop().sock_recv(receiver, 8), "big")


async def drain(url: str, *, tasks: int) -> None:
    """Run a worker, and measure from its first task to its last."""
    with _reports() as (path, receiver):
        variables = os.environ | {REPORTS: path, TASKS: str(tasks)}
        worker = await asyncio.create_subprocess_exec(
            *_worker(url), env=variables, stdout=DEVNULL, stderr=DEVNULL
        )
        try:
            begun = await _report(receiver)
            cpu = _cpu_seconds(worker.pid)
            ended = await _report(receiver)
            cpu = _cpu_seconds(worker.pid) - cpu
        finally:
            worker.terminate()
            await worker.wait()
    answer(cpu_seconds=cpu, seconds=(ended - begun) / 1e9)


async def consume(url: str) -> None:
    os.execv(GYLO, _worker(url))


async def latency(url: str, *, samples: int, path: str) -> None:
    connection = await _connect(url)
    call = registry.note_start.enqueue
    taken = await latencies(lambda: call(connection, path), path, samples)
    await connection.close()
    answer(seconds=taken)


WAYS = {each.__name__: each for each in (version, install, bulk, single, drain, consume, latency)}

if __name__ == "__main__":
    parameters = asked()
    work: Coroutine[Any, Any, None] = WAYS[parameters.pop("way")](**parameters)
    importlib.import_module("uvloop").run(work)
