"""Stopping a worker that starts, runs or closes, even if a step hangs."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from asynctasq import App
from asynctasq.message import Message, new_id
from tests.cli.processes import WorkerProcess, until

pytestmark = pytest.mark.sampled(5)

StartWorker = Callable[..., WorkerProcess]

SHOP = """
import asyncio, contextlib, threading, time
from pathlib import Path
import asynctasq
from asynctasq.hookspecs import hookimpl

def note(text):
    Path("notes.txt").write_text(text)

def forever():
    note("hangs")
    threading.Event().wait()

async def waits_forever():
    note("hangs")
    await asyncio.Event().wait()

async def refuses_to_end():
    note("hangs")
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

@contextlib.asynccontextmanager
async def enters(app):
    await {hang}
    yield

@contextlib.asynccontextmanager
async def cleans_up(app):
    try:
        await {hang}
        yield
    finally:
        note("cleaned up")

@contextlib.asynccontextmanager
async def enters_blocked(app):
    forever()
    yield

@contextlib.asynccontextmanager
async def leaves(app):
    yield
    await {hang}

@contextlib.asynccontextmanager
async def leaves_blocked(app):
    yield
    forever()

class Watching:
    @hookimpl
    async def {hook}(self):
        await {hang}

app = asynctasq.App({settings}, lifespan={lifespan})
app.plugins.register(Watching())

@asynctasq.task
async def add(a, b):
    note("ran")
    return a + b

@asynctasq.task(process={process})
def heavy():
    return 1
"""


def shop(
    folder: Path,
    *,
    lifespan: str = "None",
    hook: str = "nothing",
    hang: str = "waits_forever()",
    settings: str = '{"driver": "sqlite"}',
) -> None:
    text = SHOP
    for name, value in [
        ("{lifespan}", lifespan),
        ("{hook}", hook),
        ("{hang}", hang),
        ("{settings}", settings),
        ("{process}", str("process" in settings)),  # only then there are child processes
    ]:
        text = text.replace(name, value)
    if hook == "nothing":
        text = text.replace("    @hookimpl\n", "").replace("app.plugins.register(Watching())\n", "")
    (folder / "shop.py").write_text(text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def noted(folder: Path, text: str) -> None:
    notes = folder / "notes.txt"
    await until(lambda: notes.exists() and notes.read_text() == text, f"{text!r} is noted")


STARTS: dict[str, dict[str, str]] = {
    "lifespan": {"lifespan": "enters"},
    "lifespan that refuses": {"lifespan": "enters", "hang": "refuses_to_end()"},
    "blocked lifespan": {"lifespan": "enters_blocked"},
    "initializer": {
        "settings": '{"driver": "sqlite", "process_initializer": "shop:forever", '
        '"process_pool_size": 1}'
    },
    "worker_started": {"hook": "worker_started"},
}


@pytest.mark.parametrize("options", STARTS.values(), ids=STARTS)
async def test_one_signal_ends_a_worker_that_starts(
    options: dict[str, str], folder: Path, start_worker: StartWorker
) -> None:
    shop(folder, **options)
    worker = start_worker("--app", "shop:app")
    await noted(folder, "hangs")
    worker.send(signal.SIGTERM)
    await worker.ended()
    assert worker.code in {0, 1}


async def test_a_start_that_is_cancelled_cleans_up(folder: Path, start_worker: StartWorker) -> None:
    shop(folder, lifespan="cleans_up")
    worker = start_worker("--app", "shop:app")
    await noted(folder, "hangs")
    worker.send(signal.SIGTERM)
    await worker.ended()
    assert worker.code == 0
    await noted(folder, "cleaned up")


async def test_the_second_signal_ends_a_start_that_is_blocked(
    folder: Path, start_worker: StartWorker
) -> None:
    shop(folder, lifespan="enters_blocked")
    worker = start_worker("--app", "shop:app")
    await noted(folder, "hangs")
    worker.send(signal.SIGTERM)
    await worker.send_again(signal.SIGTERM)
    assert await worker.ended() == 1
    assert "entering the lifespan" in worker.output


async def test_a_supervisor_ends_with_workers_that_never_started(
    folder: Path, start_worker: StartWorker
) -> None:
    shop(folder, lifespan="enters")
    worker = start_worker("--app", "shop:app", "--processes", "2")
    await noted(folder, "hangs")
    worker.send(signal.SIGTERM)
    assert await worker.ended() == 0


CLOSINGS: dict[str, dict[str, str]] = {
    "the lifespan": {"lifespan": "leaves"},
    "lifespan": {"lifespan": "leaves_blocked"},
    "closing the lifespan": {"lifespan": "leaves", "hang": "refuses_to_end()"},
    "worker_stopping of the plugin": {"hook": "worker_stopping"},
    "worker_stopped of the plugin": {"hook": "worker_stopped"},
}


@pytest.mark.parametrize(
    ("signals", "culprit", "options"),
    [
        (1, "the lifespan", {"lifespan": "leaves"}),
        *((2, culprit, options) for culprit, options in CLOSINGS.items()),
    ],
    ids=["one signal", *CLOSINGS],
)
async def test_what_hangs_at_the_end_is_named_and_left(
    signals: int, culprit: str, options: dict[str, str], folder: Path, start_worker: StartWorker
) -> None:
    shop(folder, **options)
    async with App({"driver": "sqlite"}) as app:
        await (await app.driver()).enqueue([Message(new_id(), "default", "shop:gone", b"")])
    worker = start_worker("--app", "shop:app", "--grace-period", "1")
    await worker.told("does not fit this worker")  # so it runs
    worker.send(signal.SIGTERM)
    await noted(folder, "hangs")
    if signals == 2:
        await worker.send_again(signal.SIGTERM)
    await worker.ended()
    assert culprit in worker.output
