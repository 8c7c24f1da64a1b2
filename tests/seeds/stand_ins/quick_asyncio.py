"""asyncio for the blocks: sleeping takes one turn of the loop. They use nothing else of it."""

import asyncio


async def sleep(delay: float) -> None:
    assert delay >= 0
    await asyncio.sleep(0)


create_task = asyncio.create_task
