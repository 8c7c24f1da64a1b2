"""The cost of counting runs: `python benchmarks/tally.py [runs]`.

CPU of counting one settled run, in batches of several sizes: the least of all rounds counts.
"""

import sys
import time

from asynctasq.message import Delivery, Lease, Message, new_id
from asynctasq.settlement import Complete, Settled, Settlement
from asynctasq.worker.in_flight import InFlightMessage
from asynctasq.worker.tally import Tally

ROUNDS = 20
SIZES = (1, 10, 100, 1000)
TASKS = 8


def _batch(size: int) -> list[tuple[InFlightMessage, Settlement]]:
    items: list[tuple[InFlightMessage, Settlement]] = []
    now = time.time()
    for number in range(size):
        message = Message(new_id(), "default", f"shop:task_{number % TASKS}", b"")
        held = InFlightMessage(Delivery(message, Lease(message.id, 1), 0, 0, now, due_at=now - 0.2))
        held.ended_at = time.monotonic()
        held.started_at = held.ended_at - 0.01 * (1 + number % 7)
        items.append((held, Complete(held.delivery.lease, None, 3600.0, b"\x00" * 90)))
    return items


def _measure(size: int, runs: int) -> float:
    """Return the microseconds of CPU for one run."""
    batch = _batch(size)
    answers = [Settled.DONE] * size
    least = float("inf")
    for _ in range(ROUNDS):
        tally = Tally("benchmark")
        begun = time.process_time()
        for _ in range(max(runs // size, 1)):
            tally.settled(batch, answers)
        least = min(least, (time.process_time() - begun) / (max(runs // size, 1) * size))
    return least * 1e6


def main() -> None:
    """Print a line for each size."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    for size in SIZES:
        print(f"batches of {size:>4}: {_measure(size, runs):.2f} µs a run")


if __name__ == "__main__":
    main()
