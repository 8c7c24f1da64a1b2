"""The application of the sandbox tests."""

import asyncio
import threading
from dataclasses import dataclass

from asynctasq import AsyncTask, SyncProcessTask, current_task, task

log: list[object] = []


class OutOfStock(Exception):
    pass


@dataclass
class Address:
    city: str
    codes: tuple[int, ...] = ()


@task(queue="emails")
async def send_email(to: str, subject: str = "Hello", *, copies: tuple[str, ...] = ()) -> str:
    log.append(("email", to))
    return f"{subject}, {to}"


@task
def count_words(text: str) -> int:
    log.append(("thread", threading.current_thread() is threading.main_thread()))
    return len(text.split())


@task(process=True)
def square(number: int) -> int:
    log.append(("square", number))
    return number * number


class Crunch(SyncProcessTask[int]):
    max_attempts = 5
    numbers: list[int]
    limit: int = 100

    def execute(self) -> int:
        return min(sum(self.numbers), self.limit)


class Ship(AsyncTask[str]):
    def __init__(self, order: int, to: Address, **notes: str) -> None:
        super().__init__()
        self.order = order
        self.to = to
        self.notes = notes

    async def execute(self) -> str:
        return f"{self.order} to {self.to.city}"


class Flaky(AsyncTask[str]):
    """Fails on the first runs."""

    max_attempts = 61
    retry_delay = 60.0
    failures: int

    async def execute(self) -> str:
        if self._current_attempt < self.failures:
            raise OutOfStock(f"run {self._current_attempt}")
        return f"after {self._current_attempt} retries"

    async def failed(self, exception: Exception) -> None:
        log.append(("failed", str(exception)))


@task
async def order_all(cities: list[str]) -> list[str]:
    """Dispatches a task and awaits its result."""
    handles = [await Ship(number, Address(city)).dispatch() for number, city in enumerate(cities)]
    return list(await asyncio.gather(*(handle.result() for handle in handles)))


@task
async def remind(times: int) -> None:
    log.append(("reminded", current_task().dispatched_at))
    if times > 1:
        await remind(times - 1).delay(3600).dispatch()


@task
async def never_ends() -> None:
    await never_ends().dispatch()


@task
async def hang() -> None:
    log.append("hanging")
    try:
        await asyncio.Event().wait()
    finally:
        log.append("interrupted")


@task
def send_from_thread(to: str) -> str:
    return str(send_email(to).dispatch_sync())


async def sign_up(address: str) -> None:
    await send_email(to=address, subject="Welcome").dispatch()
    await send_email(to="crm@example.com", subject="New").delay(60).dispatch()
