"""What a worker tells the registry of workers about itself."""

from asynctasq import task
from asynctasq.worker.timing import RenewerTiming, WorkerTiming
from tests.worker.stage import Stage, eventually, probe


@task
async def held(name: str) -> None:
    await probe().flag(name).wait()


async def running(stage: Stage) -> list[int]:
    """How many tasks each listed worker runs."""
    return [worker.running for worker in await stage.app.workers()]


async def test_the_number_of_running_tasks_is_recorded_as_it_changes(stage: Stage) -> None:
    # The number does not wait for the next heartbeat.
    timing = WorkerTiming(renewer=RenewerTiming(register=3600.0))
    async with stage.worker(concurrency=2, timing=timing):

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
