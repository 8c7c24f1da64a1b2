"""Other task queues on the same store, doing the same work, each in its own environment."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.harness.bench import Bench, worker_command
from benchmarks.harness.environments import installed
from benchmarks.harness.figures import Figure, percentiles
from benchmarks.harness.stores import Store
from benchmarks.measurements.worker import worker

PROGRAM = "huey_tasks"
TASK_SECONDS = 0.3
LEASE_SECONDS = 1.0
DEADLINE_SECONDS = 60.0
PATIENCE_SECONDS = 2.0
"""Without a task that begins or ends, after which nothing more is expected of a peer."""


def measure(bench: Bench, stores: Sequence[Store]) -> None:
    for store in stores:
        if store.name == "sqlite":
            _huey(bench, store)


def _huey(bench: Bench, store: Store) -> None:
    python = installed(bench.environments, "huey", ["huey"], bench.say)
    bench.peers["huey"] = bench.run(PROGRAM, python=python, way="version")
    _speed(bench, store, python)
    _latency(bench, python)
    _kills(bench, store, python)


def _speed(bench: Bench, store: Store, python: Path) -> None:
    ours: list[float] = []
    certain: list[tuple[float, float]] = []
    hopeful: list[tuple[float, float]] = []
    for _ in range(bench.scale.runs):
        ours.append(1 / worker(bench, store, bench.scale.tasks)[1])
        certain.append(_huey_speed(bench, python, fsync=True))
        hopeful.append(_huey_speed(bench, python, fsync=False))
    for key, title, theirs in (
        ("fsync", "Huey, fsync=True", certain),
        ("no_fsync", "Huey, fsync=False (a power failure loses work)", hopeful),
    ):
        bench.add(
            Figure(
                f"peers.huey.speed.{key}",
                f"{title}: tasks a second",
                "/s",
                tuple(speed for speed, _ in theirs),
            )
        )
        bench.add(
            Figure(
                f"peers.huey.cpu.{key}",
                f"{title}: processor time for a task",
                "µs",
                tuple(cpu * 1e6 for _, cpu in theirs),
            )
        )
        bench.add(
            Figure(
                f"peers.huey.ratio.{key}",
                f"worker on sqlite against {title}",
                "times",
                tuple(our / speed for our, (speed, _) in zip(ours, theirs, strict=True)),
            )
        )


def _huey_speed(bench: Bench, python: Path, *, fsync: bool) -> tuple[float, float]:
    """Tasks a second, and seconds of processor for a task."""
    with bench.folder() as folder:
        answer = bench.run(
            PROGRAM,
            python=python,
            way="speed",
            path=str(folder / "huey.db"),
            fsync=fsync,
            workers=1,
            tasks=min(bench.scale.tasks, int(10_000 * bench.scale.peer_seconds)),
            seconds=bench.scale.peer_seconds,
        )
    done = max(answer["done"], 1)
    return done / answer["seconds"], answer["cpu_seconds"] / done


def _latency(bench: Bench, python: Path) -> None:
    with bench.folder() as folder:
        path = str(folder / "huey.db")
        consumer = bench.command(PROGRAM, python, {"way": "consume", "path": path, "workers": 1})
        with bench.started(consumer) as process:
            answer = bench.run(
                PROGRAM,
                python=python,
                beside=[process.pid],
                way="latency",
                path=path,
                samples=bench.scale.latency_samples,
            )
    samples = [each * 1e3 for each in answer["seconds"]]
    bench.add(
        Figure(
            "peers.huey.latency",
            "Huey, looking every 20 ms: call to start, across processes",
            "ms",
            tuple(samples),
            percentiles=percentiles(samples),
        )
    )


# What is lost when the process that runs tasks is killed.


def _kills(bench: Bench, store: Store, python: Path) -> None:
    with bench.folder() as folder:
        path = str(folder / "huey.db")
        consumer = bench.command(PROGRAM, python, {"way": "consume", "path": path, "workers": 4})
        theirs = _lost(
            bench,
            consumer,
            lambda marks, tasks: bench.run(
                PROGRAM,
                python=python,
                way="enqueue",
                path=path,
                marks=str(marks),
                tasks=tasks,
                seconds=TASK_SECONDS,
            ),
        )
    with bench.new_store(store) as url:
        ours = _lost(
            bench,
            worker_command(
                url,
                "--concurrency",
                "4",
                "--lease",
                str(LEASE_SECONDS),
                "--heartbeat-interval",
                "0.3",
            ),
            lambda marks, tasks: bench.run(
                "mark_tasks", url=url, marks=str(marks), tasks=tasks, seconds=TASK_SECONDS
            ),
        )
    for key, title, lost, bar in (
        ("asynctasq", "asynctasq", ours, 0.0),
        ("huey", "Huey", theirs, None),
    ):
        bench.add(
            Figure(
                f"peers.killed.{key}",
                f"{title}: tasks lost of {bench.scale.kill_tasks}, four running, "
                "when the worker is killed",
                "",
                (float(lost),),
                at_most=bar,
            )
        )


def _lost(bench: Bench, consumer: Sequence[str], enqueue: Callable[[Path, int], object]) -> int:
    """Kill what runs tasks when some have begun, start it again, and count those that never end."""
    tasks = bench.scale.kill_tasks
    with bench.folder() as marks:
        enqueue(marks, tasks)
        with bench.started(consumer) as process:
            _until(lambda: sum(1 for _ in marks.glob("begun-*")) >= min(4, tasks))
            process.kill()
            process.wait()
        with bench.started(consumer):
            _until_quiet(marks, tasks)
        return tasks - sum(1 for _ in marks.glob("ended-*"))


def _until_quiet(marks: Path, tasks: int) -> None:
    """Until all have ended, or none has begun or ended for a while."""
    last, since = -1, time.monotonic()
    for now in _ticks():
        seen = sum(path.stat().st_mtime_ns for path in marks.iterdir())
        if sum(1 for _ in marks.glob("ended-*")) == tasks:
            return
        if seen != last:
            last, since = seen, now
        elif now - since > PATIENCE_SECONDS + 2 * LEASE_SECONDS:
            return


def _until(true: Callable[[], bool]) -> None:
    for _ in _ticks():
        if true():
            return
    raise TimeoutError("no task has begun")


def _ticks() -> Iterator[float]:
    begun = time.monotonic()
    while (now := time.monotonic()) - begun < DEADLINE_SECONDS:
        yield now
        time.sleep(0.02)
