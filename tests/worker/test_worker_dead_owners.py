"""A worker that takes over the tasks of one that died: what it waits for, and what it logs."""

import logging

import pytest

from asynctasq import State, task
from tests.worker.conftest import MakeStage
from tests.worker.stage import PATIENCE, Stage, probe

LEASE = 1.0


@task(max_lost=2)
async def work(number: int) -> int:
    probe().note(number)
    return number


async def leave_to_a_dead_owner(stage: Stage, lease: float) -> None:
    driver = await stage.driver()
    [_] = await driver.reserve({"default": 1}, limit=1, owner="dead", lease=lease)


async def test_a_burst_waits_for_the_leases_of_a_dead_owner(
    make_stage: MakeStage, caplog: pytest.LogCaptureFixture
) -> None:
    stage = await make_stage(lease=LEASE)
    handle = await work(1).dispatch()
    await leave_to_a_dead_owner(stage, LEASE)
    with caplog.at_level(logging.INFO):
        await stage.burst()
    assert await handle.result(timeout=PATIENCE) == 1
    assert f"Task {handle} of {__name__}:work runs again: its worker was lost (1 of 2)" in [
        record.getMessage() for record in caplog.records
    ]


async def test_a_burst_does_not_wait_for_long_leases_of_others(make_stage: MakeStage) -> None:
    stage = await make_stage(lease=0.1)
    handle = await work(1).dispatch()
    await leave_to_a_dead_owner(stage, 3000.0)
    await stage.burst()
    assert await handle.status() is State.LEASED


async def test_a_burst_does_not_wait_for_its_own_leases(make_stage: MakeStage) -> None:
    stage = await make_stage(lease=3000.0)
    handles = [await work(number).dispatch() for number in range(50)]
    await stage.burst()
    assert [await each.result(timeout=PATIENCE) for each in handles] == [*range(50)]
