"""Uses that both type checkers refuse, each on a line that ends in `# wrong`. Never run."""

from collections.abc import Sequence
from typing import Any

import asynctasq
from asynctasq import App, AsyncTask, Handle, SyncTask, Worker, task
from asynctasq.contracts.driver import Driver
from asynctasq.contracts.serializer import Serializer


@task
async def add(a: int, b: int = 2) -> int:
    return a + b


@task(queue="emails")
def shout(text: str) -> str:
    return text.upper()


async def arguments() -> None:
    add()  # wrong
    add("1")  # wrong
    add(1, 2, 3)  # wrong
    add(1, c=3)  # wrong
    await add.dispatch("1")  # wrong
    add.dispatch_sync()  # wrong
    shout(5)  # wrong
    shout(txt="a")  # wrong


async def results() -> None:
    handle = await add(1).dispatch()
    text: str = await handle.result()  # wrong
    other: Handle[str] = handle  # wrong
    await handle.result(5)  # wrong
    await handle.result(timeout="5")  # wrong
    print(text, other, add(1).value)  # wrong
    stored: Handle[str] = asynctasq.handle("...", add)  # wrong
    await add.fn("1")  # wrong
    number: str = shout.fn("a") + 1  # wrong
    print(stored, number)


def options() -> None:
    add(1).options(prioritty=5)  # wrong
    add(1).options(priority="high")  # wrong
    add(1).options(delay=None)  # wrong
    add(1).delay("5")  # wrong
    add(1).on_queue(5)  # wrong
    task(queu="emails")  # wrong
    task(max_attempts="3")  # wrong
    task(process="yes")  # wrong
    task(retry_on=5)  # wrong
    task(5)  # wrong


class Charge(AsyncTask[bool]):
    def __init__(self, user_id: int) -> None:
        self.user_id = user_id

    async def execute(self) -> bool:
        return True


class WrongResult(AsyncTask[bool]):
    async def execute(self) -> str:  # wrong
        return ""


class WrongKind(SyncTask[bool]):
    async def execute(self) -> bool:  # wrong
        return True


class WrongHook(AsyncTask[None]):
    async def execute(self) -> None: ...

    def failed(self) -> None: ...  # wrong


class Ship(AsyncTask[str]):
    order: int
    carrier: str = "post"

    async def execute(self) -> str:
        return self.carrier


async def class_tasks(app: App) -> None:
    Ship()  # wrong
    Ship(odrer=1)  # wrong
    Ship(order="1")  # wrong
    Charge("1")  # wrong
    Charge(1, 2)  # wrong
    number: int = await (await Charge(1).dispatch()).result() or "no"  # wrong
    await app.dispatch(Charge)  # wrong
    await app.dispatch(add)  # wrong
    await asynctasq.dispatch_many([1])  # wrong
    strings: list[Handle[str]] = await asynctasq.dispatch_many([Charge(1)])  # wrong
    print(number, strings)


def workers() -> None:
    Worker(queues="emails", concurrency="10")  # wrong
    Worker(concurency=10)  # wrong
    asynctasq.init({5: "sqlite"})  # wrong
    asynctasq.run(workers)  # wrong


class HalfADriver:
    async def open(self) -> None: ...


class WrongSerializer:
    content_type = 5

    def dumps(self, value: object) -> bytes:
        return b""

    def loads(self, data: bytes, *, models: Sequence[object] = ()) -> Any:
        return None


driver: Driver = HalfADriver()  # wrong
serializer: Serializer = WrongSerializer()  # wrong
