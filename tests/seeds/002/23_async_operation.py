from asynctasq.tasks import task
import asyncio
import time

# Async task
@task(queue='asynctasqs')
async def async_operation(data: str):
    await asyncio.sleep(0.1)
    return f"Processed: {data}"

# Sync task
@task(queue='sync-tasks')
def sync_operation(data: str):
    time.sleep(1)
    return f"Computed: {data}"

# Both can be dispatched the same way
async def main():
    task1_id = await async_operation(data="async").dispatch()
    task2_id = await sync_operation(data="sync").dispatch()
