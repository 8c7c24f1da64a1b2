"""Commands for operators on every kind of store that outlives a process."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from click.testing import CliRunner, Result

from asynctasq import App
from asynctasq.cli import main
from tests.operations.staging import bury, enqueue, message, reserve
from tests.stores import Store

T = TypeVar("T")


@pytest.mark.every_store
def test_operators_inspect_and_repair_a_store(durable_store: Store) -> None:
    def with_store(act: Callable[[App], Awaitable[T]]) -> T:
        async def run() -> T:
            async with App({"driver": durable_store.url}) as app:
                return await act(app)

        return asyncio.run(run())

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(main, [*arguments, "--driver", durable_store.url])

    async def fill(app: App) -> tuple[list[str], list[str]]:
        dead = await bury(app, message(app, 7, named={"note": "n"}), message(app, task="mail:send"))
        return dead, await enqueue(app, message(app), message(app, delay=60.0))

    dead, waiting = with_store(fill)

    [queue] = json.loads(invoke("queues", "--json").stdout)
    assert (queue["ready"], queue["scheduled"], queue["dead"]) == (1, 1, 2)
    assert invoke("queues", "pause", "default").exit_code == 0
    assert not with_store(reserve)
    assert invoke("queues", "resume", "default").exit_code == 0

    listed = json.loads(invoke("tasks", "--json", "--task", "shop:*").stdout)["tasks"]
    assert [task["id"] for task in listed] == waiting
    shown = json.loads(invoke("dead", "show", dead[0], "--arguments", "--json").stdout)
    assert (shown["reason"], shown["arguments"]) == ("failed", {"0": "***", "note": "n"})
    assert invoke("tasks", "cancel", waiting[1], "--yes").exit_code == 0

    [letter] = json.loads(invoke("dead", "--json", "--task", "mail:*").stdout)["dead_letters"]
    assert letter["id"] == dead[1]
    assert invoke("dead", "edit", dead[0], "-a", "note=m", "--queue", "mail").exit_code == 0
    assert "Retried 1 of 1 dead letter." in invoke("dead", "retry", "--all", "--yes").stdout
    assert "2 messages" in invoke("queues", "purge", "default", "--yes").stdout
    [queue] = json.loads(invoke("queues", "--json").stdout)
    assert (queue["name"], queue["ready"]) == ("mail", 1)
