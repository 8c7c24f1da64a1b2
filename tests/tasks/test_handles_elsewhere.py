"""Handles in code without an event loop, and in the models of FastAPI."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ValidationError

import asynctasq
from asynctasq import App, Handle, State, Worker, current_task, task
from asynctasq.errors import ResultTimeout, TaskFailed
from asynctasq.message import CancelOutcome, id_to_text, new_id
from tests.tasks.store import work


@task(max_attempts=1)
async def double(number: int) -> int:
    current_task().report(number)
    if number < 0:
        raise ValueError("negative")
    return 2 * number


@pytest.fixture
def stored() -> Iterator[App]:
    """Yield the default app, on a file that a worker can serve."""
    app = asynctasq.init({"driver": "sqlite"})
    yield app
    app.close_sync()


def run_worker() -> None:
    asynctasq.run(Worker(burst=True, handle_signals=False).start())


def test_results_and_states_without_a_loop(stored: App) -> None:
    good, bad, late = (double.dispatch_sync(number) for number in (2, -1, 3))
    states = [handle.status_sync() for handle in (good, bad)]
    assert states == [State.READY, State.READY]
    assert late.cancel_sync() is CancelOutcome.CANCELLED
    with pytest.raises(ResultTimeout):
        good.result_sync(timeout=timedelta(milliseconds=1))
    run_worker()
    assert good.result_sync(timeout=30) == 4
    assert asynctasq.handle(good).result_sync(timeout=30) == 4
    assert good.progress_sync() is None
    with pytest.raises(TaskFailed, match="negative"):
        bad.result_sync(timeout=30)
    assert late.status_sync() is State.CANCELLED


def test_thread_that_awaits_a_result_is_released_when_the_app_closes(stored: App) -> None:
    handle = double.dispatch_sync(1)
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            handle.result_sync()
        except BaseException as error:  # noqa: BLE001  the test reports any error of the thread
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    handle.status_sync()
    stored.close_sync()
    thread.join(30)
    assert not thread.is_alive()
    assert len(errors) == 1


async def test_twins_say_what_to_use_where_a_loop_runs(app: App) -> None:
    handle = await double.dispatch(1)
    for method in ("result", "status", "cancel", "progress"):
        with pytest.raises(RuntimeError, match=f"await handle.{method}"):
            getattr(handle, f"{method}_sync")()


async def test_a_timeout_must_be_a_number(app: App) -> None:
    handle = await double.dispatch(1)
    with pytest.raises(ValueError, match=r"timeout must be .*, got nan"):
        await handle.result(timeout=float("nan"))


async def test_handle_is_shown_with_its_id(app: App) -> None:
    handle = await double.dispatch(1)
    assert repr(handle) == f"<Handle {handle}>"
    assert f"{handle}" == str(handle)


class Job(BaseModel):
    handle: Handle[int]


async def test_handles_are_fields_of_models(app: App) -> None:
    handle = await double.dispatch(1)
    job = Job(handle=handle)
    assert job.handle is handle
    assert job.model_dump_json() == f'{{"handle":"{handle}"}}'
    assert type(job.model_dump()["handle"]) is str
    read = Job.model_validate_json(job.model_dump_json())
    assert isinstance(read.handle, Handle)
    await work(app)
    assert await read.handle.result(timeout=30) == 2
    for wrong in ("no id", 5):
        with pytest.raises(ValidationError):
            Job.model_validate({"handle": wrong})
    for mode in ("validation", "serialization"):
        schema: Any = Job.model_json_schema(mode=mode)
        assert schema["properties"]["handle"] == {
            "title": "Handle", "type": "string", "format": "uuid",
        }  # fmt: skip


async def test_fastapi_takes_handles_in_signatures(app: App) -> None:
    web = FastAPI()

    @web.post("/double/{number}")
    async def start(number: int) -> Handle[int]:
        return await double.dispatch(number)

    @web.get("/jobs/{job}")
    async def result(job: str) -> int:
        return int(await asynctasq.handle(job).result(timeout=30))

    @web.post("/jobs")
    async def same(job: Job) -> Job:
        return job

    transport = httpx2.ASGITransport(app=web)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.post("/double/4")
        assert answer.status_code == 200
        await work(app)
        assert (await client.get(f"/jobs/{answer.json()}")).json() == 8
        job = {"handle": answer.json()}
        assert (await client.post("/jobs", json=job)).json() == job
        assert (await client.post("/jobs", json={"handle": "no id"})).status_code == 422
        schema = (await client.get("/openapi.json")).json()
    answers = schema["paths"]["/double/{number}"]["post"]["responses"]["200"]["content"]
    assert answers["application/json"]["schema"]["type"] == "string"


async def test_unknown_handle_is_an_error_of_the_result_not_of_the_model(app: App) -> None:
    assert isinstance(Job.model_validate({"handle": id_to_text(new_id())}).handle, Handle)
