"""The size of a measurement."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Numbers of one kind of run: the full one, the quick one, and the one that tests use."""

    name: str
    runs: int
    tasks: int
    """Run by a worker, and dispatched in bulk."""
    latency_samples: int
    idle_seconds: float
    depths: tuple[int, int]
    depth_rounds: int
    starts: int
    """The number of starts of a new process."""
    growth: tuple[int, int]
    """Numbers of tasks after which memory is looked at."""
    peer_seconds: float
    """The longest time that a peer works."""
    kill_tasks: int


FULL = Scale(
    "full",
    runs=5,
    tasks=100_000,
    latency_samples=300,
    idle_seconds=20.0,
    depths=(1_000, 1_000_000),
    depth_rounds=100,
    starts=15,
    growth=(50_000, 250_000),
    peer_seconds=6.0,
    kill_tasks=20,
)
QUICK = Scale(
    "quick",
    runs=3,
    tasks=20_000,
    latency_samples=60,
    idle_seconds=5.0,
    depths=(1_000, 100_000),
    depth_rounds=30,
    starts=5,
    growth=(40_000, 90_000),
    peer_seconds=2.0,
    kill_tasks=10,
)
TINY = Scale(
    "tiny",
    runs=1,
    tasks=300,
    latency_samples=3,
    idle_seconds=0.2,
    depths=(100, 1_000),
    depth_rounds=2,
    starts=1,
    growth=(100, 300),
    peer_seconds=0.5,
    kill_tasks=4,
)
