"""`asynctasq top` on a terminal: what it shows, its keys, and its ends."""

import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from asynctasq import App, Worker, task
from asynctasq.cli.top.drawing import draw, shares
from asynctasq.cli.top.keys import Key, KeyReader
from asynctasq.cli.top.readings import COUNTED, Growth, QueueLine, Reading
from asynctasq.contracts.capabilities import QueueInfo, WorkerInfo
from tests.cli.screens import FullScreen
from tests.cli.stores import with_store
from tests.operations.staging import bury, enqueue, message, reserve

Invoke = Callable[..., Result]

FAST = ("top", "--interval", "0.5")


@task(queue="sums", name="top.adds")
async def adds(number: int) -> int:
    return number + 1


WORKER = WorkerInfo(
    "host-1-abc", "host", 1, 0.0, ("mail",), 10, 3, "1.0", phase="running", loop_lag=0.002
)


async def filled(app: App) -> None:
    await enqueue(app, message(app, task="shop:pay"))
    await reserve(app)
    await enqueue(app, message(app), message(app), message(app, delay=60.0))
    await bury(app, message(app, queue="mail"))
    await enqueue(app, message(app, queue="mail"))
    driver: Any = await app.driver()
    await driver.record_worker(replace(WORKER, seen_at=9e9), ttl=600.0)


async def ran(app: App) -> None:
    await app.dispatch_many([adds(number) for number in range(60)])
    await Worker(app=app, queues=["sums"], burst=True, handle_signals=False).start()
    await app.queues.pause("sums")


def test_queues_workers_and_running_tasks_are_shown_at_80_by_24() -> None:
    with_store(filled)
    with FullScreen(*FAST) as top:
        top.shows("q quit")
        assert all(len(line) <= 80 for line in top.lines)
        assert top.lines[0].startswith("asynctasq top  /")
        assert top.row("Queue")[:5] == ["Queue", "Ready", "Scheduled", "Running", "Dead"]
        assert top.row("default")[:5] == ["default", "2", "1", "1", "0"]
        assert top.row("default")[-2:] == ["no", "workers"]
        assert top.row("mail")[:5] == ["mail", "1", "0", "0", "1"]
        assert top.row("host-1-abc")[1:5] == ["host", "running", "3/10", "2"]
        assert top.row("shop:pay")[3:] == ["s", "default", "w1"]
        top.type("q")
        assert top.ended() == 0


def test_the_selected_queue_is_paused_and_resumed() -> None:
    with_store(filled)
    with FullScreen(*FAST) as top:
        top.until(lambda: top.selected() == "default", "the first queue is selected")
        top.type("\x1b[B")
        top.until(lambda: top.selected() == "mail", "the second one is selected")
        top.type("p")
        top.until(lambda: top.row("mail")[-1] == "paused", "it is paused")
        assert top.selected() == "mail"
        top.type("p")
        top.until(lambda: top.row("mail")[-1] != "paused", "it is resumed")
        top.type("\x1b[A\x1b[Aq")
        assert top.ended() == 0


def test_the_view_follows_the_store_and_the_size_of_the_terminal() -> None:
    with_store(filled)
    with FullScreen(*FAST) as top:
        top.shows("q quit")
        with_store(lambda app: enqueue(app, message(app, queue="later")))
        top.until(lambda: top.row("later"), "the new queue")
        top.resize(50, 12)
        titles = ["Queue", "Ready", "Running", "Dead", "Oldest", "State"]
        top.until(lambda: top.row("Queue") == titles, "fewer columns")
        assert "q quit" in top.lines[11]
        top.resize(120, 40)
        top.until(lambda: "q quit" in top.lines[39], "the footer in the last line")
        assert "Out/min" in top.text
        top.type("q")
        assert top.ended() == 0


@pytest.mark.parametrize(
    "number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_signal_restores_the_terminal(number: signal.Signals, code: int) -> None:
    with_store(filled)
    with FullScreen(*FAST) as top:
        top.shows("q quit")
        top.process.send_signal(number)
        assert top.ended() == code


def test_an_unexpected_error_restores_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "from asynctasq.drivers.sqlite import SqliteDriver\n"
        "import asynctasq\n"
        "calls = iter(range(2))\n"
        "class Broken(SqliteDriver):\n"
        "    async def workers(self):\n"
        "        next(calls)\n"
        "        return await super().workers()\n"
        f"asynctasq.init({{'driver': Broken(path={str(tmp_path / 'asynctasq.db')!r})}})\n"
    )
    with_store(filled)
    with FullScreen(*FAST, "--app", "broken") as top:
        assert top.ended() == 1
        assert b"RuntimeError" in top.output or b"StopIteration" in top.output


def state_of(pid: int) -> str:
    """Return the state of a process as Linux shows it: `T` if it is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the state of a process")
def test_it_is_stopped_and_continued() -> None:
    with_store(filled)
    with FullScreen(*FAST) as top:
        top.shows("q quit")
        shown = len(top.output)
        top.process.send_signal(signal.SIGTSTP)
        top.until(lambda: b"\x1b[?1049l" in top.output[shown:], "the screen is left")
        top.until(lambda: state_of(top.process.pid) == "T", "it is stopped")
        top.process.send_signal(signal.SIGCONT)
        top.until(lambda: b"\x1b[?1049h" in top.output[shown:], "the screen is back")
        top.type("q")
        assert top.ended() == 0


def test_rates_come_from_workers() -> None:
    with_store(ran)
    with FullScreen(*FAST) as top:
        top.shows("q quit")
        assert float(top.row("sums")[-2]) >= 20.0
        top.until(lambda: top.row("sums")[-3] != "?", "its arrivals")
        assert float(top.row("sums")[-3]) >= 20.0


def test_without_a_terminal_it_says_so(invoke: Invoke) -> None:
    with_store(filled)
    done = invoke("top")
    assert done.exit_code == 2
    assert "This command needs a terminal." in done.stderr


def test_a_missing_store_is_an_error_before_the_screen_is_taken() -> None:
    with FullScreen(*FAST) as top:
        top.until(lambda: top.process.poll() is not None, "the end")
        assert top.process.returncode == 3


@pytest.mark.parametrize(
    "parts, keys",
    [
        (["\x1b[A"], [Key.UP]),
        (["\x1b", "[", "B"], [Key.DOWN]),
        (["\x1bOA", "\x1bOB"], [Key.UP, Key.DOWN]),
        (["kjpq"], [Key.UP, Key.DOWN, Key.PAUSE, Key.QUIT]),
        (["\x1b[1;5Cp"], [Key.PAUSE]),
        (["xyz\x1b[5~q"], [Key.QUIT]),
        (["\x1bp"], [Key.PAUSE]),
        (["ü", "p"], [Key.PAUSE]),
    ],
)
def test_keys_are_read(parts: list[str], keys: list[Key]) -> None:
    reader = KeyReader()
    assert [key for part in parts for key in reader.keys(part.encode())] == keys


@pytest.mark.parametrize(
    "room, wanted, given",
    [
        (17, [2, 1, 3], [2, 1, 3]),
        (9, [20, 20, 20], [3, 3, 3]),
        (10, [1, 20, 20], [1, 5, 4]),
        (0, [1, 1, 1], [0, 0, 0]),
    ],
)
def test_lines_are_shared(room: int, wanted: list[int], given: list[int]) -> None:
    assert shares(room, wanted) == given


def line(name: str, ready: int = 1) -> QueueLine:
    info = QueueInfo(name, ready, 0, 0, 0, 0, paused=False, oldest_ready_at=None)
    return QueueLine(info, 1, None, 20_000.0)


@pytest.mark.parametrize("width, height", [(80, 24), (20, 5), (200, 60), (1, 1), (80, 3)])
def test_every_size_is_drawn_exactly(width: int, height: int) -> None:
    queues = [line(f"queue-{number}-全角", COUNTED) for number in range(40)]
    reading = Reading(0.0, queues, [WORKER] * 30, [])
    lines = draw(reading, "store \x1b[2J", "queue-35-全角", "", width, height)
    assert len(lines) == height
    assert all(each.cell_len <= max(width, 1) for each in lines)
    assert "\x1b" not in "".join(each.plain for each in lines)
    if height >= 24:
        assert any("queue-35" in each.plain for each in lines)


def test_the_growth_of_a_queue_is_measured_over_a_minute() -> None:
    growth = Growth()
    growth.add(0.0, {"a": 5})
    assert growth.per_minute("a") is None
    growth.add(10.0, {"a": 15, "b": 1})
    assert (growth.per_minute("a"), growth.per_minute("b")) == (60.0, 6.0)
    growth.add(65.0, {"a": None})
    assert growth.per_minute("a") is None
    growth.add(75.0, {"a": 10})
    assert growth.per_minute("b") == 0.0
