"""Measure programs of ours, of peers and of bare loops on one server, in turns."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.harness.bench import Bench
from benchmarks.harness.environments import installed
from benchmarks.harness.figures import Figure

OURS = "asynctasq_tasks"
Sample = tuple[float, float, float]
"""Seconds on the clock, of the process and of the server, for one task."""


class SideBySide(ABC):
    """One server, and programs that work on it."""

    packages: Mapping[str, tuple[str, ...]]
    """For the program of each peer, the name of its environment and the packages in it."""
    peer_rate = 1500
    """Tasks that a peer may run in a second of the time that it gets."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.scale = bench.scale
        self._pythons: dict[str, Path] = {}

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL of the store that is measured."""

    @abstractmethod
    def server_seconds(self) -> float:
        """Return the processor time of the server so far."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Return the versions of the server and of our client."""

    def program(self, name: str, way: str, **parameters: object) -> dict[str, Any]:
        """Run one of the programs to its end; the processor time of the server is in the answer."""
        before = self.server_seconds()
        given: dict[str, Any] = {"way": way, "url": self.url, **parameters}
        answer = self.bench.run(name, python=self.python(name), **given)
        return answer | {"server_seconds": self.server_seconds() - before}

    def python(self, name: str) -> Path | str:
        """Return the Python of the environment that a program needs."""
        if name not in self.packages:
            return sys.executable
        if name not in self._pythons:
            environment, *packages = self.packages[name]
            found = installed(self.bench.environments, environment, packages, self.bench.say)
            self._pythons[name] = found
            self.bench.peers[environment] = self.bench.run(
                name, python=found, way="version", url=self.url
            )
        return self._pythons[name]

    @contextmanager
    def consumer(self, name: str) -> Iterator[int]:
        """Run a worker that waits for work during the block, and yield its process id."""
        parameters: dict[str, object] = {"way": "consume", "url": self.url}
        with self.bench.started(self.bench.command(name, self.python(name), parameters)) as process:
            yield process.pid

    def add(self, key: str, title: str, unit: str, values: Sequence[float], **more: Any) -> None:
        """Add a figure to the session."""
        self.bench.add(Figure(key, title, unit, tuple(values), **more))

    def peer_tasks(self, rate: int | None = None) -> int:
        """Return as many as a peer of that rate runs in a few seconds."""
        most = int(self.scale.peer_seconds * (rate or self.peer_rate))
        return max(300, min(self.scale.tasks, most) // 100 * 100)


def per_task(answer: Mapping[str, Any], tasks: int) -> Sample:
    """Return the times of one task."""
    return (
        answer["seconds"] / tasks,
        answer["cpu_seconds"] / tasks,
        answer["server_seconds"] / tasks,
    )


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return for each round how many times as fast as the other we were."""
    return [their / our for our, their in zip(ours, theirs, strict=True)]
