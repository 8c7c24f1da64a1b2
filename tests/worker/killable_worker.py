"""A worker in a separate process, which tests kill: `killable_worker.py URL LOG`."""

import asyncio
import os
import sys

from asynctasq import App, Worker, current_task, task

LEASE = 1.0


def tell(line: str) -> None:
    """Append a line, in one call: several processes write to the file."""
    file = os.open(os.environ["KILL_TEST_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)


@task(name="killable.hangs")
async def hangs() -> str:
    """Begins for ever on its first delivery."""
    if "calm" in os.environ.get("KILL_TEST_MODE", ""):
        return f"attempt {current_task().attempt}"
    tell("began")
    await asyncio.Event().wait()
    return "never"


@task(name="killable.steps")
async def steps(number: int) -> int:
    """Take a moment, so that kills hit the task."""
    await asyncio.sleep(0.002)
    tell(f"ran {number}")
    return number


@task(name="killable.steps_in_thread")
def steps_in_thread(number: int) -> int:
    """Run a step in a thread."""
    tell(f"ran {number}")
    return number


def app_on(url: str) -> App:
    """Make the app of the test and of its workers, with the state store of the environment if there is one."""
    lease = float(os.environ.get("KILL_TEST_LEASE", LEASE))
    settings: dict[str, object] = {"driver": url, "lease": lease, "heartbeat_interval": lease / 5}
    if state := os.environ.get("KILL_TEST_STATE"):
        settings["state"] = state
    return App(settings)


async def main(url: str) -> None:
    async with app_on(url) as app:
        await Worker(app=app, concurrency=8).start()


if __name__ == "__main__":
    os.environ["KILL_TEST_LOG"] = sys.argv[2]
    asyncio.run(main(sys.argv[1]))
