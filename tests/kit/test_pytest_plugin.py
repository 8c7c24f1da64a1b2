"""The pytest plugin in a project without further plugins."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from asynctasq.testing import Clock, Sandbox
from tests.kit.shop import Flaky, count_words, send_email

USER_TESTS = """
import asyncio
import asynctasq
from asynctasq.testing import Sandbox

@asynctasq.task
def add(a: int, b: int) -> int:
    return a + b

def test_captured(asynctasq_sandbox):
    handle = add(1, 2).dispatch_sync()
    asynctasq_sandbox.assert_dispatched(add(1, 2))
    asynctasq_sandbox.drain_sync()
    assert asyncio.run(handle.result(timeout=30)) == 3

def test_everywhere_is_a_sandbox(request):
    add(1, 2).dispatch_sync()
    assert request.config.getini("asynctasq_sandbox") == "inline"
"""


def test_fixtures_serve_sync_tests_without_any_asyncio_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(USER_TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasynctasq_sandbox = inline\n")
    done = _pytest(tmp_path, "-p", "no:asyncio", "-W", "error")
    assert "2 passed" in done
    assert not list(tmp_path.glob("*.db*"))


def test_the_plugin_imports_nothing_of_asynctasq() -> None:
    """Check the import that pytest does at every start."""
    code = "import asynctasq_pytest, sys; sys.exit('asynctasq' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=100, check=False).returncode == 0
    [entry] = [each for each in entry_points(group="pytest11") if each.name == "asynctasq"]
    assert entry.value == "asynctasq_pytest"


def test_an_invalid_mode_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nasynctasq_sandbox = maybe\n")
    assert "must be off, capture or inline" in _pytest(tmp_path)


def _pytest(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )
    return done.stdout + done.stderr


async def test_inline_fixture_runs_tasks_within_dispatch(asynctasq_inline: Sandbox) -> None:
    handle = await count_words("one two").dispatch()
    assert await handle.result(timeout=30) == 2


async def test_clock_fixture_is_the_clock_of_the_sandbox(
    asynctasq_sandbox: Sandbox, asynctasq_clock: Clock
) -> None:
    handle = await Flaky(failures=1).dispatch()
    await asynctasq_sandbox.drain()
    asynctasq_clock.advance(60)
    await asynctasq_sandbox.drain()
    assert await handle.result(timeout=30) == "after 1 retries"


@pytest.mark.parametrize("attempt", [1, 2])
async def test_each_test_has_a_sandbox_of_its_own(asynctasq_sandbox: Sandbox, attempt: int) -> None:
    await send_email(str(attempt)).dispatch()
    asynctasq_sandbox.assert_dispatched(send_email, times=1)
