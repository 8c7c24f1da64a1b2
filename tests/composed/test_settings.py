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
from tests.composed.queue_driver import DurableQueue, QueueDriver
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
        | Capability.NEWS
        | Capability.METRICS
        | Capability.EVENTS
        | Capability.SCHEDULES
        | Capability.WORKER_REQUESTS
    )


def test_a_missing_capability_names_the_remedy() -> None:
    from asynctasq.contracts.capabilities import SupportsCancel, require

    with pytest.raises(errors.CapabilityMissing, match="Set `state` to a full store"):
        require(QueueDriver(), Capability.CANCEL, SupportsCancel, purpose="Cancelling a task")


def test_only_the_two_plugins_are_imported(tmp_path: Path) -> None:
    code = """
import sys
from asynctasq import App
from tests.composed.queue_driver import DurableQueue, QueueDriver
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


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        (
            {"state": "sqlite:///{file}"},
            "Set sqlite.namespace = 'staging', or append .namespace=staging",
        ),
        (
            {"state": "sqlite:///{file}?synchronous=full"},
            "or append &namespace=staging to the URL in `state`",
        ),
        (
            {"state": "sqlite:///{file}?namespace=shop"},
            "Change the namespace in the URL in `state` to 'staging'",
        ),
        ({"state": "sqlite"}, r"Set sqlite\.namespace = 'staging'\.$"),
        ({"state": SqliteDriver("unused.db")}, r"Pass namespace='staging' to SqliteDriver\.$"),
    ],
)
def test_queue_and_state_store_must_have_the_same_namespace(
    settings: dict[str, object], remedy: str, tmp_path: Path
) -> None:
    state = settings["state"]
    if isinstance(state, str):
        state = state.format(file=tmp_path / "state.db")
    queue = DurableQueue(tmp_path / "queue.db", namespace="staging")
    with pytest.raises(errors.ConfigurationError, match=remedy) as raised:
        App({"driver": queue, "state": state})
    assert "got 'staging' for the queue (DurableQueue)" in str(raised.value)


def test_a_namespace_of_the_state_store_alone_is_refused(tmp_path: Path) -> None:
    state = SqliteDriver(tmp_path / "state.db", namespace="staging")
    with pytest.raises(errors.ConfigurationError, match="Pass namespace='staging' to DurableQueue"):
        App({"driver": DurableQueue(tmp_path / "queue.db"), "state": state})


@pytest.mark.parametrize("form", ["url", "section", "instance"])
async def test_the_same_namespace_is_accepted(form: str, tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    state = SqliteDriver(file, namespace="staging") if form == "instance" else f"sqlite:///{file}"
    settings: dict[str, object] = {
        "driver": DurableQueue(tmp_path / "queue.db", namespace="staging"),
        "state": f"{state}?namespace=staging" if form == "url" else state,
    }
    if form == "section":
        settings["sqlite"] = {"namespace": "staging"}
    async with App(settings) as app:
        assert isinstance(await app.driver(), ComposedDriver)
