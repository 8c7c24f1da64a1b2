"""Process tasks that wait for others."""

import asyncio

from asynctasq import App, task


@task(process=True)
def inner() -> int:
    return 1


@task(process=True)
async def waits(url: str) -> int:
    async with App({"driver": url}) as app:
        handle = await app.dispatch(inner())
        return await handle.result()


@task(process=True)
def waits_sync(url: str) -> None:
    asyncio.run(waits.fn(url))


@task
async def inner_on_loop() -> int:
    return 1


@task(process=True)
async def waits_for_loop(url: str) -> int:
    async with App({"driver": url}) as app:
        handle = await app.dispatch(inner_on_loop())
        return await handle.result()
