"""Uses that both type checkers accept, with the types that they find. Never run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self, assert_type

import asynctasq
from asynctasq import (
    App,
    AsyncProcessTask,
    AsyncTask,
    BaseTask,
    CurrentTask,
    Handle,
    OnConflict,
    State,
    SyncProcessTask,
    SyncTask,
    Unique,
    UniqueUntil,
    Worker,
    current_task,
    task,
)
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import (
    DRIVER_API_VERSION,
    Driver,
    DriverDefaults,
    Enqueued,
    QueueCounts,
)
from asynctasq.contracts.serializer import Refer, Serializer
from asynctasq.message import CancelOutcome, Delivery, Lease, Message
from asynctasq.settlement import LeaseState, Settled, Settlement
from asynctasq.tasks import FunctionCall

# Function tasks.


@task
async def add(a: int, b: int = 2) -> int:
    return a + b


@task
def shout(text: str, *, times: int = 1) -> str:
    return text.upper() * times


@task(queue="emails", max_attempts=5, retry_delay=1.5, timeout=None, retry_strategy="exponential")
async def send(to: str) -> dict[str, bool]:
    return {to: True}


@task(
    process=True, retry_on=(OSError, ValueError), on_failure=print, name="crunch", driver="sqlite"
)
def crunch(data: list[float]) -> float:
    return sum(data)


@task(retry_on=lambda error: isinstance(error, OSError))
async def nothing() -> None: ...


async def function_tasks() -> None:
    assert_type(add(1), FunctionCall[int])
    assert_type(await add(1, b=3).dispatch(), Handle[int])
    assert_type(await add.dispatch(1), Handle[int])
    assert_type(add(1).dispatch_sync(), Handle[int])
    assert_type(add.dispatch_sync(a=1), Handle[int])
    assert_type(await (await add(1).dispatch()).result(timeout=5), int)
    assert_type(await (await shout("a", times=2).dispatch()).result(), str)
    assert_type(await (await send("a").dispatch()).result(), dict[str, bool])
    assert_type(await (await crunch([1.0]).dispatch()).result(), float)
    assert_type(await nothing().dispatch(), Handle[None])
    assert_type(await add(1).on_queue("a").delay(5).retry_after(0.5).dispatch(), Handle[int])
    assert_type(add.name, str)
    assert_type(await add.fn(1, b=2), int)
    assert_type(shout.fn("a", times=2), str)
    assert_type(await send.fn("a"), dict[str, bool])
    assert_type(crunch.fn([1.0]), float)


async def options() -> None:
    moment = datetime.now(UTC)
    call = add(1).options(priority=9, expires=60, eta=moment, id="…", headers={"a": "b"})
    assert_type(await call.dispatch(), Handle[int])
    unique = Unique("key", UniqueUntil.PERIOD, OnConflict.REPLACE, period=5)
    add(1).options(unique=unique).options(unique="key", timeout=None, result_ttl=0, max_lost=0)
    handle = await add(1).dispatch()
    add(2).options(after=[handle, str(handle)])
    minute = timedelta(minutes=1)
    add(1).options(delay=minute, timeout=minute, expires=minute).delay(minute).retry_after(minute)


# Class tasks.


class Charge(AsyncTask[bool]):
    queue = "payments"
    max_attempts = 3
    timeout = 30

    def __init__(self, user_id: int, amount: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.user_id = user_id
        self.amount = amount

    async def execute(self) -> bool:
        return True

    async def failed(self, exception: Exception) -> None:
        print(self._task_id, self._current_attempt, self._dispatched_at, exception)

    def should_retry(self, exception: Exception) -> bool:
        return isinstance(exception, OSError)


class Fetch(SyncTask[str]):
    _driver_override = "sqlite"

    def execute(self) -> str:
        return ""

    def failed(self, exception: Exception) -> None:
        print(exception)

    async def should_retry(self, exception: Exception) -> bool:
        return True


class Encode(AsyncProcessTask[dict[str, int]], name="encode"):
    async def execute(self) -> dict[str, int]:
        return {}


class Hash(SyncProcessTask[bytes]):
    def execute(self) -> bytes:
        return b""


@dataclass
class Invoice(AsyncTask[None]):
    number: int

    async def execute(self) -> None: ...


class Ship(AsyncTask[str]):
    queue = "parcels"

    order: int
    carrier: str = "post"
    labels: list[str] = field(default_factory=list)

    async def execute(self) -> str:
        return f"{self.order} {self.carrier}"


async def class_tasks() -> None:
    assert_type(Ship(order=1, carrier="van").order, int)
    assert_type(await Ship(1, labels=["fragile"]).dispatch(), Handle[str])
    charge = Charge(1, amount=2.0)
    assert_type(charge.on_queue("a"), Charge)
    assert_type(charge.options(priority=1).delay(0), Charge)
    assert_type(await charge.dispatch(), Handle[bool])
    assert_type(await (await charge.dispatch()).result(), bool)
    assert_type(Fetch().dispatch_sync(), Handle[str])
    assert_type(await (await Encode().dispatch()).result(), dict[str, int])
    assert_type(await (await Hash().dispatch()).result(), bytes)
    assert_type(await Invoice(5).dispatch(), Handle[None])
    assert_type(charge._task_id, str | None)
    assert_type(charge._dispatched_at, datetime | None)


# Many, handles, apps.


async def many(app: App) -> None:
    handles = await asynctasq.dispatch_many([add(1), add(2)], on_progress=print)
    assert_type(handles, list[Handle[int]])
    assert_type(await app.dispatch_many(shout(each) for each in "abc"), list[Handle[str]])
    assert_type(await asynctasq.dispatch_many([Charge(1, 2)]), list[Handle[bool]])
    assert_type(await app.dispatch(Charge(1, 2)), Handle[bool])
    mixed = await asynctasq.dispatch_many([add(1), shout("a"), Charge(1, 2), Fetch()])
    for handle in mixed:
        assert_type(await handle.status(), State)
    calls: list[BaseTask[object]] = [add(1), Charge(1, 2)]
    assert_type(await app.dispatch_many(calls), list[Handle[object]])
    ints: list[BaseTask[int]] = [add(1), Charge(1, 2)]
    assert_type(await app.dispatch_many(ints), list[Handle[int]])


async def handles(handle: Handle[int]) -> None:
    text: str = handle
    assert_type(await handle.status(), State)
    assert_type(await handle.cancel(), CancelOutcome)
    assert_type(handle.created, bool)
    assert_type(asynctasq.handle(text), Handle[Any])
    assert_type(asynctasq.handle(text, add), Handle[int])
    assert_type(asynctasq.handle(text, Charge), Handle[bool])
    assert_type(await asynctasq.handle(text, shout).result(), str)
    assert_type(handle.result_sync(timeout=timedelta(seconds=1)), int)
    assert_type(handle.status_sync(), State)


def covariant(handle: Handle[bool]) -> Handle[int]:
    return handle


async def workers(driver: Driver) -> None:
    async with asynctasq.init({"driver": driver}) as app:
        worker = Worker(driver, ["a", "b:5"], 10, app=app, burst=True)
        await worker.start()
    assert_type(asynctasq.run(worker.start()), None)
    assert_type(current_task(), CurrentTask)
    current_task().report({"done": 1})


# Contracts, as a stranger implements them.


class StrangersDriver(DriverDefaults):
    api_version = DRIVER_API_VERSION
    capabilities = Capability.NONE
    clock_offset = 0.0
    description = "nowhere"

    def clone(self) -> Self:
        return self

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        return [Enqueued(message.id, created=True) for message in messages]

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        return []

    async def wait(self, queues: Sequence[str], *, timeout: float) -> None: ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        return []

    async def extend(
        self, owner: str, leases: Sequence[Lease], *, lease: float
    ) -> list[LeaseState]:
        return []

    async def count(self, queue: str, *, bound: int | None = None) -> QueueCounts:
        return QueueCounts()


class StrangersSerializer:
    content_type = "strange"

    def dumps(self, value: object, *, refer: Refer) -> bytes:
        return b""

    def loads(self, data: bytes, *, models: Sequence[object] = ()) -> Any:
        return None


driver: Driver = StrangersDriver()
serializer: Serializer = StrangersSerializer()
asynctasq.register_type(Lease, lambda lease: [lease.id, lease.token], lambda parts: Lease(*parts))
