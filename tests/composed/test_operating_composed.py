"""Operating a composed driver: paused queues, and errors that name its two stores."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess
from types import MappingProxyType

import pytest

from asynctasq import App, task
from asynctasq.contracts.capabilities import Capability
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.errors import (
    CapabilityMissing,
    DriverError,
    MessageTooLarge,
    MessageTooLargeForStore,
    ResultTimeout,
)
from tests.cli.processes import asynctasq
from tests.composed.queue_driver import DurableQueue, QueueDriver
from tests.stores import ROOT

APP = """
from asynctasq import App
from tests.composed.queue_driver import DurableQueue

queue = DurableQueue("queue.db")
queue.description = "queue.db"  # not a path, as of a broker
app = App({"driver": queue, "state": "sqlite:///state.db"})
"""


@task
async def ship(data: bytes = b"") -> None:
    pass


def write_app() -> None:
    Path("shop.py").write_text(APP)


def operate(*arguments: str) -> CompletedProcess[str]:
    return asynctasq("queues", *arguments, "--app", "shop:app", PYTHONPATH=str(ROOT))


async def test_a_paused_queue_is_listed_as_paused() -> None:
    write_app()
    async with App({"driver": DurableQueue("queue.db"), "state": "sqlite:///state.db"}) as app:
        await app.open()
    assert operate("pause", "default").returncode == 0
    listed = json.loads(operate("list", "default", "mail", "--json").stdout)
    assert [queue["paused"] for queue in listed] == [True, False]
    assert "paused" in operate("list", "default").stdout
    assert re.search(r"with state in .*state\.db does not have", operate("list").stderr)


@pytest.mark.parametrize(
    ("queues", "hint"),
    [
        ([], "continues"),
        (
            ["default"],
            "The queue 'default' is paused. To resume it: asynctasq queues resume default",
        ),
        (["default", "mail"], "These queues are paused: default, mail."),
    ],
)
async def test_a_timeout_names_paused_queues(queues: list[str], hint: str) -> None:
    async with App({"driver": QueueDriver(), "state": MemoryDriver()}) as app:
        for name in queues:
            await app.queues.pause(name)
        assert await app.queues.paused() == frozenset(queues)
        handle = await ship().dispatch()
        with pytest.raises(ResultTimeout, match=hint):
            await handle.result(timeout=0.01)


async def test_a_driver_without_pauses_has_no_paused_queues() -> None:
    async with App({"driver": QueueDriver()}) as app:
        assert await app.queues.paused() is None


class DeliversTwice(QueueDriver):
    may_deliver_twice = True


async def test_tasks_that_must_not_run_twice_need_a_state_store_on_some_queues() -> None:
    call = ship().options(max_lost=0)
    async with App({"driver": DeliversTwice()}) as app:
        for dispatch in (app.dispatch(call), app.dispatch_many([call])):
            with pytest.raises(CapabilityMissing, match=r"max_lost.*Set `state` to a store"):
                await dispatch
        await app.dispatch(ship())
    async with App({"driver": DeliversTwice(), "state": MemoryDriver()}) as app:
        await app.dispatch(call)


class HasRemedy(QueueDriver):
    remedies: Mapping[Capability, str] = MappingProxyType(
        {Capability.PRIORITY: "Or set shop.priorities = true."}
    )


@pytest.mark.parametrize("settings", [{}, {"state": MemoryDriver()}])
async def test_errors_name_stores_and_the_remedy_of_the_driver(settings: dict[str, object]) -> None:
    async with App({"driver": HasRemedy(), **settings}) as app:
        with pytest.raises(CapabilityMissing, match=r"Or set shop\.priorities = true\.") as raised:
            await app.dispatch(ship().options(priority=9))
        assert app.store in str(raised.value)


async def test_a_message_beyond_the_limit_of_the_store_is_too_large() -> None:
    async with App({"driver": QueueDriver()}) as app:
        for kind in (MessageTooLarge, DriverError):
            with pytest.raises(kind) as raised:
                await app.dispatch(ship(bytes(300_000)))
            assert isinstance(raised.value, MessageTooLargeForStore)
            assert "262,144 bytes" in str(raised.value)
            assert app.store in str(raised.value)
