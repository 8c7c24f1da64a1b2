"""Dispatching without an event loop, from threads and from forked processes; and how programs end."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import asynctasq
from asynctasq import App, task
from asynctasq.contracts.capabilities import Snapshot
from asynctasq.errors import DispatchError, NotSerializable
from tests.tasks.store import messages, snapshots, work


@task
def note(number: int) -> int:
    return number


def stored(path: Path) -> list[Snapshot]:
    """Return the waiting messages in a file."""

    async def look() -> list[Snapshot]:
        async with App({"driver": f"sqlite:///{path}"}) as app:
            return await snapshots(app)

    return asynctasq.run(look())


def test_from_plain_code(tmp_path: Path) -> None:
    app = asynctasq.init({"driver": "sqlite"})
    first = note(1).dispatch_sync()
    second = note.dispatch_sync(2)
    third = app.dispatch_sync(note(3).delay(60))
    assert first != second != third
    assert isinstance(first, asynctasq.Handle)
    app.close_sync()
    app.close_sync()
    assert len(stored(tmp_path / "asynctasq.db")) == 3


def test_errors_reach_the_caller() -> None:
    app = asynctasq.init({"driver": "memory"})
    with pytest.raises(NotSerializable):
        note.dispatch_sync(object())  # type: ignore[arg-type]  # the fault
    app.close_sync()


async def test_where_a_loop_runs_it_says_what_to_use_instead(app: App) -> None:
    with pytest.raises(RuntimeError, match=r"Use `await task\.dispatch\(\)`"):
        note(1).dispatch_sync()
    assert not await messages(app)


async def test_threads_of_a_program_with_a_loop_may_use_it(app: App) -> None:
    import asyncio

    handle = await asyncio.to_thread(note(5).dispatch_sync)
    await work(app)
    assert await handle.result(timeout=30) == 5
    await app.close()
    assert not any(thread.name == "asynctasq-portal" for thread in threading.enumerate())


def test_many_threads_at_once() -> None:
    app = asynctasq.init({"driver": "sqlite"})
    with ThreadPoolExecutor(8) as threads:
        handles = list(threads.map(lambda number: note(number).dispatch_sync(), range(40)))
    app.close_sync()
    assert len(set(handles)) == 40
    assert len(stored(Path("asynctasq.db"))) == 40
    assert not any(thread.name == "asynctasq-portal" for thread in threading.enumerate())


# Complete programs.


PREAMBLE = """
import asyncio, os, sys
import asynctasq
from asynctasq import task

@task
async def note(number):
    return number

async def dispatch(number):
    return await note(number).dispatch()
"""


def program(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    """Run a script under every warning; it must end by itself."""
    (folder / "program.py").write_text(PREAMBLE + textwrap.dedent(body))
    command = [sys.executable, "-X", "faulthandler", "-W", "error", "program.py"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    "body",
    [
        "asynctasq.run(dispatch(1))",
        "asyncio.run(dispatch(1))",
        "import uvloop\nuvloop.run(dispatch(1))",
        "note(1).dispatch_sync()",
        "asyncio.run(dispatch(1))\nasyncio.run(asynctasq.close())",
        "async def main():\n    async with asynctasq.App(): await dispatch(1)\nasyncio.run(main())",
        "note(1).dispatch_sync()\nasynctasq.default_app().close_sync()",
        "loop = asyncio.new_event_loop()\nloop.run_until_complete(dispatch(1))\nloop.close()",
    ],
    ids=[
        "run", "asyncio", "uvloop", "sync", "close in another loop", "app", "close_sync", "own loop",
    ],
)  # fmt: skip
def test_programs_end_without_hanging_and_without_a_warning(tmp_path: Path, body: str) -> None:
    done = program(tmp_path, body)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    [found] = stored(tmp_path / "asynctasq.db")
    assert found.message.task == "program:note"


STARTS_NO_THREADS_LATE = sys.version_info[:3] in {(3, 12, 0), (3, 12, 1)}
"""Once the main thread has ended (https://github.com/python/cpython/issues/113964)."""


def test_a_thread_may_dispatch_when_the_main_one_has_ended(tmp_path: Path) -> None:
    done = program(
        tmp_path,
        """
        import threading

        def late():
            threading.main_thread().join()
            note(1).dispatch_sync()

        threading.Thread(target=late).start()
        """,
    )
    assert done.returncode == 0
    if STARTS_NO_THREADS_LATE:
        assert "DispatchError: Nothing was dispatched, for the thread" in done.stderr
        assert "never awaited" not in done.stderr
    else:
        assert done.stderr == ""
        assert len(stored(tmp_path / "asynctasq.db")) == 1


def test_without_a_thread_nothing_is_dispatched_and_the_next_call_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = asynctasq.init({"driver": "sqlite"})

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        for _ in range(2):
            with pytest.raises(DispatchError, match="can't start new thread"):
                note(1).dispatch_sync()
    note(2).dispatch_sync()
    app.close_sync()
    assert len(stored(Path("asynctasq.db"))) == 1


def test_a_program_may_mix_all_of_them(tmp_path: Path) -> None:
    done = program(
        tmp_path,
        """
        import uvloop
        asyncio.run(dispatch(1))
        note(2).dispatch_sync()
        uvloop.run(dispatch(3))
        asynctasq.run(dispatch(4))
        note(5).dispatch_sync()
        asyncio.run(dispatch(6))
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(stored(tmp_path / "asynctasq.db")) == 6


def test_a_program_that_fails_shows_its_own_error_only(tmp_path: Path) -> None:
    done = program(
        tmp_path,
        """
        note(1).dispatch_sync()
        asyncio.run(dispatch(2))
        raise SystemExit("mine")
        """,
    )
    assert (done.returncode, done.stderr.strip()) == (1, "mine")


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@needs_fork
@pytest.mark.parametrize(
    "before", ["asyncio.run(dispatch(1))", "note(1).dispatch_sync()"], ids=["loop", "sync"]
)
@pytest.mark.parametrize(
    "after", ["asyncio.run(dispatch(2))", "note(2).dispatch_sync()"], ids=["loop", "sync"]
)
def test_a_forked_child_dispatches_on_its_own_connection(
    tmp_path: Path, before: str, after: str
) -> None:
    done = program(
        tmp_path,
        f"""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads, from 3.12 on
        {before}
        child = os.fork()
        if child == 0:
            {after}
            os._exit(0) if {before == after} else sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        {before}
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = stored(tmp_path / "asynctasq.db")
    assert len(found) == 3
    assert len({each.message.id for each in found}) == 3


def test_a_program_that_is_interrupted_while_it_dispatches_ends(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        PREAMBLE
        + textwrap.dedent(
            """
            note(1).dispatch_sync()
            print("ready", flush=True)
            while True:
                note(2).dispatch_sync()
            """
        )
    )
    with subprocess.Popen(
        [sys.executable, "program.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=60)
    assert errors.count(b"Traceback") == 1
    # Behind it Python may complain of the coroutine that was just made, and not begun.
    assert b"KeyboardInterrupt" in errors.splitlines()
