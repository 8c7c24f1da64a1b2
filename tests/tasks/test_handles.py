"""The handle that a dispatch returns: an ID that also leads to the outcome."""

import copy
import json
import pickle
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID, uuid4

import msgpack
import orjson
import pytest

import asynctasq
from asynctasq import App, Handle, State, current_task, task
from asynctasq.errors import (
    ResultNotSerializable,
    ResultTimeout,
    ResultUnknown,
    TaskCancelled,
    TaskFailed,
)
from asynctasq.message import CancelOutcome
from tests.tasks.store import messages, work


@task(max_attempts=1)
async def divide(a: int, b: int) -> float:
    return a / b


@task
async def describe(value: Any) -> tuple[str, Any]:
    return type(value).__name__, value


@task
async def odd() -> Any:
    return object()


@pytest.fixture
async def handle(app: App) -> Handle[float]:
    return await divide(6, 3).dispatch()


async def test_it_is_the_id_as_text(app: App, handle: Handle[float]) -> None:
    [message] = await messages(app)
    assert isinstance(handle, str)
    assert UUID(handle).bytes == message.id
    assert UUID(handle).version == 7
    assert handle == str(UUID(handle))
    assert hash(handle) == hash(str(UUID(handle)))
    assert str(UUID(handle)) in {handle: 1}
    assert f"{handle}" == str(handle) == "".join(handle)
    assert type(str(handle)) is str


async def test_it_is_text_to_every_encoder(handle: Handle[float]) -> None:
    plain = str(handle)
    assert json.loads(json.dumps({"id": handle})) == {"id": plain}
    assert orjson.loads(orjson.dumps([handle])) == [plain]
    assert msgpack.unpackb(msgpack.packb(handle)) == plain


async def test_copies_in_this_process_are_the_handle_and_pickles_the_id(
    handle: Handle[float],
) -> None:
    @dataclass
    class Order:
        receipt: str

    assert copy.copy(handle) is handle
    assert copy.deepcopy([handle])[0] is handle
    assert asdict(Order(handle)) == {"receipt": handle}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        loaded = pickle.loads(pickle.dumps(handle, protocol))
        assert loaded == handle
        assert type(loaded) is str


async def test_it_may_be_an_argument_of_another_task(app: App, handle: Handle[float]) -> None:
    plain = await describe(handle).dispatch()
    nested = await describe({"parents": [handle], handle: 1}).dispatch()
    await work(app)
    assert await plain.result(timeout=30) == ("str", str(handle))
    kind, value = await nested.result(timeout=30)
    assert (kind, value) == ("dict", {"parents": [str(handle)], str(handle): 1})
    assert {type(each) for each in [*value, *value["parents"]]} == {str}


async def test_result_of_a_completed_task(app: App, handle: Handle[float]) -> None:
    assert await handle.status() is State.READY
    await work(app)
    assert await handle.result() == 2.0
    assert await handle.result(timeout=0.001) == 2.0
    assert await handle.status() is State.COMPLETED


async def test_result_may_be_awaited_before_the_task_runs(app: App) -> None:
    import asyncio

    handles = [await divide(each, 1).dispatch() for each in range(20)]
    waiting = asyncio.gather(*(handle.result(timeout=30) for handle in handles))
    await work(app)
    assert await waiting == list(range(20))


async def test_failed_task_tells_reason_error_and_traceback(app: App) -> None:
    handle = await divide(1, 0).dispatch()
    await work(app)
    assert await handle.status() is State.DEAD
    with pytest.raises(TaskFailed, match="ZeroDivisionError: division by zero") as caught:
        await handle.result()
    error = caught.value
    assert (error.reason, error.error_type) == ("failed", "ZeroDivisionError")
    assert error.error_message == "division by zero"
    assert "return a / b" in error.traceback
    assert handle in str(error)


async def test_cancelled_task(app: App, handle: Handle[float]) -> None:
    assert await handle.cancel() is CancelOutcome.CANCELLED
    assert await handle.status() is State.CANCELLED
    with pytest.raises(TaskCancelled):
        await handle.result()
    assert await handle.cancel() is CancelOutcome.TOO_LATE


async def test_result_that_is_not_there_in_time(handle: Handle[float]) -> None:
    with pytest.raises(ResultTimeout, match=f"{handle} has not ended within 0.01 s"):
        await handle.result(timeout=0.01)
    with pytest.raises(TimeoutError):
        await handle.result(timeout=0)
    assert await handle.status() is State.READY


async def test_result_that_cannot_be_stored(app: App) -> None:
    handle = await odd().dispatch()
    await work(app)
    assert await handle.status() is State.COMPLETED
    with pytest.raises(ResultNotSerializable, match="object"):
        await handle.result()


async def test_progress_of_the_last_report(app: App) -> None:
    @task
    async def report() -> None:
        current_task().report({"done": 5})

    handle = await report().dispatch()
    assert await handle.progress() is None
    await work(app)
    assert await handle.status() is State.COMPLETED


async def test_handle_from_an_id_that_was_kept(app: App, handle: Handle[float]) -> None:
    again = asynctasq.handle(str(handle).upper())
    assert again == handle
    await work(app)
    assert await again.result(timeout=30) == 2.0
    assert await app.handle(handle).result() == 2.0


@pytest.mark.parametrize("text", ["", "mine", "5"])
def test_handle_of_what_is_no_id(text: str) -> None:
    with pytest.raises(ValueError, match="UUID"):
        asynctasq.handle(text)


async def test_unknown_task(app: App) -> None:
    unknown = asynctasq.handle(str(uuid4()))
    with pytest.raises(ResultUnknown, match="never dispatched"):
        await unknown.result(timeout=30)
    with pytest.raises(ResultUnknown, match="never dispatched"):
        await unknown.status()
    assert await unknown.cancel() is CancelOutcome.UNKNOWN
    assert await unknown.progress() is None
