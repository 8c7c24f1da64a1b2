"""What the workers of a storm on Redis run. Copied into the storm's folder.

Everything that happens is appended to two files: `effects.log`, by tasks, and `audit.log`, by the driver.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence

from asynctasq import App, current_task, task
from asynctasq.message import Delivery, id_from_text
from asynctasq.settlement import Settled, Settlement
from asynctasq_redis import RedisDriver

LEASE = 2.0
URL = "STORM_URL"
"""Of the store, in the environment of the workers."""


def append(file: str, text: str) -> None:
    """In one write, so that lines of several processes stay whole."""
    fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


class AuditedDriver(RedisDriver):
    """Writes down what it was asked and answered."""

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        found = await super().reserve(queues, limit=limit, owner=owner, lease=lease)
        lines = [f"reserve {each.message.id.hex()} {each.lease.token}\n" for each in found]
        if lines:
            append("audit.log", "".join(lines))
        return found

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        answers = await super().settle(settlements)
        lines = [
            f"settle {each.lease.id.hex()} {each.lease.token} {type(each).__name__} {answer.name}\n"
            for each, answer in zip(settlements, answers, strict=True)
        ]
        append("audit.log", "".join(lines))
        return answers


@task(name="redis_storm.work", max_lost=1000)
async def work(n: int) -> int:
    """Now and then longer than a moment, so that something runs whatever happens when."""
    append("effects.log", f"{n} {id_from_text(current_task().id).hex()}\n")
    await asyncio.sleep(0.2 if n % 10 == 0 else 0)
    return n


def make_app() -> App:
    """The app of a worker."""
    driver = AuditedDriver(os.environ[URL])
    return App({"driver": driver, "lease": LEASE, "heartbeat_interval": 0.5, "grace_period": 2.0})


if URL in os.environ:
    app = make_app()
