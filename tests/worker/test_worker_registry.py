"""What a worker tells the registry of workers about itself."""

import pytest

from asynctasq import task
from tests.worker.stage import Stage, eventually, probe


@task
async def held(name: str) -> None:
    await probe().flag(name).wait()


async def running(stage: Stage) -> list[int]:
    """How many tasks each listed worker runs."""
    return [worker.running for worker in await stage.app.workers()]


@pytest.fixture(autouse=True)
def _rare_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of running tasks does not wait for the next heartbeat."""
    monkeypatch.setattr("asynctasq.worker.services.lease_renewer.REGISTRY_INTERVAL_SECONDS", 3600.0)


async def test_the_number_of_running_tasks_is_recorded_as_it_changes(stage: Stage) -> None:
    async with stage.worker(concurrency=2):

        async def idle() -> bool:
            return await running(stage) == [0]

        async def busy() -> bool:
            return await running(stage) == [2]

        await eventually(idle)
        for _ in range(5):  # some of them are fetched ahead, and do not run
            await held("go on").dispatch()
        await eventually(busy)
        stage.flag("go on").set()
        await eventually(idle)
