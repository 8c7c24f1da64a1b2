"""The setting `state`: a driver is composed by it, and errors say what to do."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asynctasq import App, errors
from asynctasq.contracts.capabilities import Capability
from asynctasq.drivers.composed import ComposedDriver, compose
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.sqlite import SqliteDriver
from tests.composed.queue_driver import QueueDriver
from tests.stores import ROOT


def app_with(state: object, **settings: Any) -> App:
    return App({"driver": QueueDriver(), "state": state, **settings})


@pytest.mark.parametrize("form", ["name", "url", "instance", "variable"])
async def test_state_is_given_like_a_driver(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.db"
    if form == "name":
        app = app_with("sqlite", sqlite={"path": str(path)})
    elif form == "url":
        app = app_with(f"sqlite:///{path}")
    elif form == "instance":
        app = app_with(SqliteDriver(path=path))
    else:
        monkeypatch.setenv("ASYNCTASQ_STATE", f"sqlite:///{path}")
        app = App({"driver": QueueDriver()})
    async with app:
        driver = await app.driver()
        assert isinstance(driver, ComposedDriver)
        assert driver.state.description == str(path)
        assert str(path) in app.store
        assert Capability.UNIQUE in driver.capabilities
    assert path.exists()


def test_a_full_store_needs_no_state() -> None:
    with pytest.raises(errors.ConfigurationError, match=r"which needs none\. Remove `state`"):
        App({"driver": MemoryDriver(), "state": "memory"})


def test_a_queue_must_tell_deaths() -> None:
    class Plain(MemoryDriver):
        capabilities = Capability.NONE

    with pytest.raises(errors.ConfigurationError, match="reserve_and_deaths"):
        compose(Plain(), MemoryDriver())


def test_a_state_store_must_be_full() -> None:
    with pytest.raises(errors.ConfigurationError, match="full store with the capability STATE"):
        compose(QueueDriver(), QueueDriver())


@pytest.mark.parametrize("value", [3, MemoryDriver])
def test_another_value_is_refused(value: object) -> None:
    with pytest.raises(errors.ConfigurationError, match="state"):
        app_with(value)


def test_flags_are_known_before_anything_is_open() -> None:
    capabilities = compose(QueueDriver(), MemoryDriver()).capabilities
    assert capabilities == (
        Capability.UNIQUE
        | Capability.RESULTS
        | Capability.PROGRESS
        | Capability.CANCEL
        | Capability.PAUSE
        | Capability.DEAD_LETTERS
        | Capability.WORKERS
        | Capability.SCHEDULES
    )


def test_a_missing_capability_names_the_remedy() -> None:
    from asynctasq.contracts.capabilities import SupportsCancel, require

    with pytest.raises(errors.CapabilityMissing, match="Set `state` to a full store"):
        require(QueueDriver(), Capability.CANCEL, SupportsCancel, purpose="Cancelling a task")


def test_only_the_two_plugins_are_imported(tmp_path: Path) -> None:
    code = """
import sys
from asynctasq import App
from tests.composed.queue_driver import QueueDriver
assert "asynctasq.drivers.composed" not in sys.modules
App({"driver": QueueDriver(), "state": "redis://localhost:1/0"})
siblings = {name.split(".")[0] for name in sys.modules if name.startswith("asynctasq_")}
assert siblings <= {"asynctasq_redis"}, siblings
assert "redis" not in sys.modules
"""
    path = {"PYTHONPATH": str(ROOT), "PATH": ""}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=path)


def test_a_check_of_two_stores_says_what_cannot_be_composed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "asynctasq", "drivers", "check", "memory", "--state", "memory"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "which needs none" in done.stderr
