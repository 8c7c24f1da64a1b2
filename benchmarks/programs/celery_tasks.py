"""Celery on RabbitMQ doing the same work: the solo pool, late acknowledgements, confirms, and no results.

Runs in its own environment. `drain URL TASKS` prints the tasks of each second as JSON.
"""

import importlib
import json
import os
import sys
import threading
import time
from typing import Any
from uuid import uuid4


def main(url: str, tasks: int) -> None:
    """Publish tasks, run a worker until they are done, and print the rate."""
    celery: Any = importlib.import_module("celery")
    app = celery.Celery(broker=url)
    app.conf.update(
        task_acks_late=True,
        task_ignore_result=True,
        broker_transport_options={"confirm_publish": True},
        worker_prefetch_multiplier=100,
        task_default_queue=f"bench-{uuid4().hex}",
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    done = 0
    times = [0.0, 0.0]
    ended = threading.Event()

    def noop(number: int) -> None:
        nonlocal done
        if not done:
            times[0] = time.perf_counter()
        done += 1
        if done == tasks:
            times[1] = time.perf_counter()
            ended.set()

    task: Any = app.task(name="noop")(noop)
    for number in range(tasks):
        task.delay(number)
    worker: Any = app.Worker(
        pool="solo", loglevel="ERROR", without_gossip=True, without_mingle=True
    )

    def stop() -> None:
        ended.wait(120)
        print(json.dumps({"rate": tasks / (times[1] - times[0])}), flush=True)
        os._exit(0)  # the solo pool does not stop before it receives another task

    threading.Thread(target=stop, daemon=True).start()
    worker.start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
