"""asynctasq on RabbitMQ: no-op tasks without results, on uvloop."""

import json
import sys
import time
from uuid import uuid4

import uvloop

from asynctasq import App, Worker, task

SINGLE = 300
AT_ONCE = 1000

done = 0
times = [0.0, 0.0]


@task
async def noop(number: int) -> None:
    """Note when the first task begins and the last one ends."""
    global done
    if not done:
        times[0] = time.perf_counter()
    done += 1
    times[1] = time.perf_counter()


async def main(url: str, tasks: int, queue_type: str) -> None:
    """Dispatch tasks in bulk and one by one, run them, and print the rates."""
    where = f"{url}?queue_type={queue_type}&namespace=bench-{uuid4().hex}"
    async with App({"driver": where, "default_result_ttl": 0}) as app:
        await app.dispatch(noop(-1))  # creates the queue
        began = time.perf_counter()
        for start in range(0, tasks, AT_ONCE):
            chunk = range(start, min(start + AT_ONCE, tasks))
            await app.dispatch_many([noop(number) for number in chunk])
        bulk = tasks / (time.perf_counter() - began)
        began = time.perf_counter()
        for number in range(SINGLE):
            await app.dispatch(noop(number))
        single = SINGLE / (time.perf_counter() - began)
        await Worker(app=app, burst=True, handle_signals=False, concurrency=100).start()
    rate = done / (times[1] - times[0])
    print(json.dumps({"rate": rate, "bulk": bulk, "single": single}))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
