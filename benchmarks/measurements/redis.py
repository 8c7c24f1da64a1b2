"""Redis: our worker and dispatch beside those of peers and of bare loops, on one server, in turns."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asynctasq.conformance import TcpProxy
from benchmarks.harness import machine
from benchmarks.harness.bench import Bench
from benchmarks.harness.figures import percentiles, shown
from benchmarks.harness.side_by_side import OURS, Sample, SideBySide, per_task, ratios
from tests.servers.redis import RedisServer, redis_server

BARE, SAQ, TASKIQ, STREAQ = "redis_bare", "saq_tasks", "taskiq_tasks", "streaq_tasks"
PACKAGES = {
    SAQ: ("saq", "saq[redis,hiredis]", "typing-extensions", "uvloop"),
    TASKIQ: ("taskiq", "taskiq", "taskiq-redis", "hiredis", "uvloop"),
    STREAQ: ("streaq", "streaq", "hiredis", "uvloop"),
}
"""Name of the environment, and what is in it."""

DISTANCE_SECONDS = 0.01
"""One way."""
DEPTHS = {"full": (100_000, 1_000_000), "quick": (20_000, 200_000), "tiny": (200, 400)}


class RedisBench(SideBySide):
    """A server without persistence."""

    packages = PACKAGES

    def __init__(self, bench: Bench, server: RedisServer) -> None:
        super().__init__(bench)
        self._server = server

    @property
    def url(self) -> str:
        """The URL of the server."""
        return self._server.url

    def empty(self) -> None:
        """Remove everything."""
        with self._server.client() as client:
            client.flushall()

    def memory(self) -> int:
        """Return the bytes in use."""
        with self._server.client() as client:
            told: Any = client.info("memory")
        return int(told["used_memory"])

    def server_seconds(self) -> float:
        """Return the processor time of the server so far."""
        with self._server.client() as client:
            used: Any = client.info("cpu")
        return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])

    def versions(self) -> dict[str, str]:
        """Return the versions of the measured packages."""
        with self._server.client() as client:
            told: Any = client.info("server")
        names = ("redis", "hiredis")
        return {f"{told.get('server_name', 'redis')} server": str(told["redis_version"])} | {
            name: version(name) for name in names
        }


@contextmanager
def redis_bench(bench: Bench) -> Iterator[RedisBench]:
    """Start a server for the measurement."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-redis-") as folder,
        redis_server(Path(folder)) as server,
    ):
        yield RedisBench(bench, server)


def drain(redis: RedisBench) -> None:
    """No-op tasks, a hundred at a time, every result kept for an hour where there are results."""
    tasks, peer_tasks = redis.scale.tasks, redis.peer_tasks()
    ways: dict[str, tuple[str, Callable[[], Sample]]] = {
        "ours": ("asynctasq", lambda: _drained(redis, OURS, "bulk", tasks)),
        "bare": ("bare loop of redis-py", lambda: _drained(redis, BARE, "fill", tasks)),
        "saq": ("SAQ", lambda: _drained(redis, SAQ, "gather", peer_tasks, tasks=peer_tasks)),
        "taskiq": (
            "taskiq, streams with results",
            lambda: _drained(redis, TASKIQ, "gather", peer_tasks, tasks=peer_tasks, results=True),
        ),
        "taskiq_streams": (
            "taskiq, streams without results",
            lambda: _drained(redis, TASKIQ, "gather", peer_tasks, tasks=peer_tasks, results=False),
        ),
        "streaq": ("streaQ", lambda: _drained(redis, STREAQ, "bulk", peer_tasks, tasks=peer_tasks)),
    }
    samples: dict[str, list[Sample]] = {key: [] for key in ways}
    for _ in range(redis.scale.runs):
        for key, (_, measure) in ways.items():
            samples[key].append(measure())
    bars = {"saq": 10.0, "taskiq": 10.0, "taskiq_streams": 6.0, "bare": 1 / 3}
    for key, (title, _) in ways.items():
        wall, cpu, server = zip(*samples[key], strict=True)
        limits = ({"at_most": 30.0}, {"at_most": 12.0}) if key == "ours" else ({}, {})
        redis.add(
            f"drain.speed.{key}", f"drain, {title}: tasks a second", "/s", [1 / w for w in wall]
        )
        redis.add(
            f"drain.worker.{key}", f"drain, {title}: worker's processor time a task", "µs",
            [c * 1e6 for c in cpu], **limits[0],
        )  # fmt: skip
        redis.add(
            f"drain.server.{key}", f"drain, {title}: server's processor time a task", "µs",
            [c * 1e6 for c in server], **limits[1],
        )  # fmt: skip
        if key != "ours":
            ours = [sample[0] for sample in samples["ours"]]
            redis.add(
                f"drain.ratio.{key}", f"drain, asynctasq against {title}", "times",
                ratios(ours, wall), at_least=bars.get(key),
            )  # fmt: skip


def _drained(redis: RedisBench, name: str, fill: str, count: int, **parameters: object) -> Sample:
    redis.empty()
    redis.program(name, fill, tasks=count)
    return per_task(redis.program(name, "drain", **parameters), count)


def processes(redis: RedisBench) -> None:
    """One worker on a queue, and two on one that is as long, against what two processors can do."""
    tasks = 2 * redis.scale.tasks
    ratios: list[float] = []
    speeds: list[float] = []
    alone: list[Sample] = []
    together: list[Sample] = []
    busy: list[float] = []
    for _ in range(redis.scale.runs):
        alone.append(_drained(redis, OURS, "bulk", tasks))
        together.append(_drained_by_two(redis, tasks))
        wall, cpu, server = alone[-1]
        speeds.append(1 / together[-1][0])
        ratios.append(speeds[-1] / min(2 / wall, 2 / (cpu + server)))
        busy.append(sum(together[-1][1:]) / together[-1][0] / 2)
    redis.add("processes.speed", "two workers: tasks a second", "/s", speeds)
    redis.add(
        "processes.ratio", "two workers against what two processors allow", "", ratios,
        at_least=0.85,
    )  # fmt: skip
    redis.add("processes.busy", "the same: how much of two processors was used", "", busy)
    for key, title, place in (("worker", "workers'", 1), ("server", "server's", 2)):
        redis.add(
            f"processes.{key}", f"two workers: {title} processor time a task", "µs",
            [1e6 * sample[place] for sample in together],
            note=f"{shown(1e6 * statistics.median(sample[place] for sample in alone))} µs with one",
        )  # fmt: skip


def _drained_by_two(redis: RedisBench, tasks: int) -> Sample:
    redis.empty()
    redis.program(OURS, "bulk", tasks=tasks)
    begin_at = time.monotonic() + 4.0
    with ThreadPoolExecutor(2) as threads:
        started = [
            threads.submit(redis.program, OURS, "drain", begin_at=begin_at) for _ in range(2)
        ]
        answers = [each.result() for each in started]
    begun_at = min(each["begun_at"] for each in answers)
    ended_at = max(each["ended_at"] for each in answers)
    return (
        (ended_at - begun_at) / tasks,
        sum(each["cpu_seconds"] for each in answers) / tasks,
        max(each["server_seconds"] for each in answers) / tasks,
    )


def distant(redis: RedisBench) -> None:
    """Measure the same tasks with a distant server."""
    ours, theirs = max(300, redis.scale.tasks // 2), max(300, redis.peer_tasks() // 300 * 100)
    ways: dict[str, tuple[str, str, int, dict[str, object]]] = {
        OURS: ("asynctasq", "bulk", ours, {}),
        SAQ: ("SAQ", "gather", theirs, {"tasks": theirs}),
        TASKIQ: ("taskiq, streams with results", "gather", theirs, {"tasks": theirs, "results": True}),
    }  # fmt: skip
    walls: dict[str, list[float]] = {name: [] for name in ways}
    with TcpProxy(redis.url) as line:
        for _ in range(redis.scale.runs):
            for name, (_, fill, tasks, more) in ways.items():
                redis.empty()
                redis.program(name, fill, tasks=tasks)
                line.delay = DISTANCE_SECONDS
                answer = redis.program(name, "drain", url=line.url, **more)
                line.delay = 0.0
                walls[name].append(answer["seconds"] / tasks)
    for name, (title, *_) in ways.items():
        redis.add(
            f"distant.speed.{name}",
            f"drain over a line with a round trip of {2e3 * DISTANCE_SECONDS:.0f} ms, {title}: "
            "tasks a second", "/s", [1 / wall for wall in walls[name]],
        )  # fmt: skip
        if name is not OURS:
            redis.add(
                f"distant.ratio.{name}", f"the same, asynctasq against {title}", "times",
                ratios(walls[OURS], walls[name]),
            )  # fmt: skip


def sleeping(redis: RedisBench) -> None:
    """Tasks that sleep for 10 ms, a hundred at a time."""
    tasks = max(500, redis.scale.tasks // 5)
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(redis.scale.runs):
        redis.empty()
        redis.program(OURS, "bulk", tasks=tasks, sleeping=True)
        ours.append(redis.program(OURS, "drain")["seconds"] / tasks)
        bare.append(redis.program(BARE, "sleep", tasks=tasks)["seconds"] / tasks)
    redis.add(
        "sleeping.speed", "tasks that sleep 10 ms: tasks a second", "/s", [1 / w for w in ours]
    )
    redis.add(
        "sleeping.ratio", "the same against a bare uvloop", "", ratios(ours, bare), at_least=0.9
    )


def dispatch(redis: RedisBench) -> None:
    """One at a time, a hundred concurrently, and in bulk."""
    tasks = redis.scale.tasks
    few = max(300, tasks // 10 // 100 * 100)
    peer_tasks = max(1000, redis.peer_tasks() // 1000 * 1000)
    ways: dict[str, tuple[str, str, int, dict[str, object]]] = {
        "single": (OURS, "single", few, {}),
        "single_bare": (BARE, "single", few, {"body": 150}),
        "gather": (OURS, "gather", few, {}),
        "gather_saq": (SAQ, "gather", peer_tasks, {}),
        "bulk": (OURS, "bulk", tasks, {}),
        "bulk_streaq": (STREAQ, "bulk", peer_tasks, {}),
    }
    walls: dict[str, list[float]] = {key: [] for key in ways}
    for _ in range(redis.scale.runs):
        for key, (name, way, count, more) in ways.items():
            redis.empty()
            walls[key].append(redis.program(name, way, tasks=count, **more)["seconds"] / count)
    for key, other, title, against, bar in (
        ("single", "single_bare", "dispatch, one after the other", "bare EVALSHA", 0.7),
        ("gather", "gather_saq", "dispatch, gather of a hundred", "SAQ", 4.0),
        ("bulk", "bulk_streaq", "dispatch_many", "streaQ's enqueue_many", 5.0),
    ):
        redis.add(f"dispatch.{key}", f"{title}: tasks a second", "/s", [1 / w for w in walls[key]])
        redis.add(f"dispatch.{other}", f"{against}: the same", "/s", [1 / w for w in walls[other]])
        redis.add(
            f"dispatch.ratio.{key}", f"{title}, against {against}", "times",
            ratios(walls[key], walls[other]), at_least=bar,
        )  # fmt: skip


def latency(redis: RedisBench) -> None:
    """From dispatch in one process to the first line of the task in another, on an idle worker."""
    samples: dict[str, list[float]] = {OURS: [], TASKIQ: [], SAQ: []}
    for _ in range(3):
        for name, taken in samples.items():
            redis.empty()
            with redis.consumer(name) as process, redis.bench.folder() as folder:
                answer = redis.bench.run(
                    name, python=redis.python(name), beside=[process],
                    way="latency", url=redis.url, samples=redis.scale.latency_samples, path=str(folder / "starts"),
                )  # fmt: skip
            taken += [each * 1e3 for each in answer["seconds"]]
    theirs = percentiles(samples[TASKIQ])
    for key, name, title in (
        ("ours", OURS, "asynctasq"), ("taskiq", TASKIQ, "taskiq, streams"), ("saq", SAQ, "SAQ")
    ):  # fmt: skip
        own = percentiles(samples[name])
        redis.add(
            f"latency.{key}", f"dispatch to start, idle worker, {title}", "ms", samples[name],
            percentiles=own, at_most=theirs["p50"] if name is OURS else None,
        )  # fmt: skip
    redis.add(
        "latency.p99", "the same, asynctasq, 99th percentile", "ms",
        [percentiles(samples[OURS])["p99"]], at_most=theirs["p99"],
    )  # fmt: skip


def idle(redis: RedisBench) -> None:
    """Measure a worker that has nothing to do."""
    redis.empty()
    with redis.consumer(OURS) as process:
        time.sleep(2.0)
        begun, before = time.monotonic(), machine.cpu_seconds(process)
        time.sleep(max(redis.scale.idle_seconds, 0.2))
        used = machine.cpu_seconds(process) - before
        percent = 100 * used / (time.monotonic() - begun)
    redis.add("idle.cpu", "idle worker: processor time", "%", [percent], at_most=0.5)


def depth(redis: RedisBench) -> None:
    """Measure a deep queue, and one of which as much falls due at once."""
    shallow, deep = DEPTHS[redis.scale.name]
    drained = shallow // 2
    memory = 0.0
    filled_in: dict[int, float] = {}
    for kind in ("waiting", "scheduled"):
        speeds: dict[int, list[Sample]] = {shallow: [], deep: []}
        for _ in range(3 if redis.scale.name == "full" else 1):
            for size, found in speeds.items():
                redis.empty()
                before = redis.memory()
                if kind == "waiting":
                    begun = time.monotonic()
                    redis.program(OURS, "bulk", tasks=size)
                    filled_in[size] = time.monotonic() - begun
                else:
                    _fill_for_later(redis, size, 3.0 + 2.0 * filled_in[size])
                if kind == "waiting" and size == deep:
                    memory = (redis.memory() - before) / size
                found.append(per_task(redis.program(OURS, "drain", tasks=drained), drained))
        one, other = (
            [statistics.median(column) for column in zip(*speeds[size], strict=True)]
            for size in (shallow, deep)
        )
        redis.add(
            f"depth.{kind}", f"drain with {deep:,} {kind} against {shallow:,}: speed", "",
            ratios([s[0] for s in speeds[deep]], [s[0] for s in speeds[shallow]]), at_least=0.9,
        )  # fmt: skip
        redis.add(
            f"depth.{kind}.cpu", "the same: processor time of worker and server", "",
            [sum(other[1:]) / sum(one[1:])],
            note=f"{shown(sum(one[1:]) * 1e6)} and {shown(sum(other[1:]) * 1e6)} µs a task",
        )  # fmt: skip
    redis.add("memory", "memory of a waiting message", "bytes", [memory], at_most=600.0)


def _fill_for_later(redis: RedisBench, tasks: int, seconds: float) -> None:
    """Fill the queue, and return when the messages have just fallen due."""
    due = time.time() + seconds
    redis.program(OURS, "bulk", tasks=tasks, ready_at=due)
    if time.time() > due:
        raise RuntimeError("Filling took longer than before: they were due meanwhile.")
    time.sleep(max(due - time.time(), 0) + 0.1)


MEASUREMENTS: dict[str, Callable[[RedisBench], None]] = {
    each.__name__: each
    for each in (drain, processes, distant, sleeping, dispatch, latency, idle, depth)
}
