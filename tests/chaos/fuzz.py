"""Malformed bodies and records under live workers: they cost themselves, and nothing else."""

import asyncio
import random
import time
from pathlib import Path
from typing import Any
from weakref import ref

from asynctasq import App
from asynctasq.app import runtime_of
from asynctasq.dispatch.messages import MessageFactory
from asynctasq.errors import DriverError
from asynctasq.message import Message, State, new_id
from tests.chaos.ends import dead_letters
from tests.chaos.fleet import WorkerFleet, worker_environment
from tests.chaos.inside import tasks
from tests.chaos.inside.app import SETTINGS
from tests.chaos.inside.audit import Audit
from tests.chaos.inside.switches import SwitchBoard, Switches
from tests.chaos.kinds import OWN_QUEUES
from tests.chaos.report import Report
from tests.chaos.stores.store import Store
from tests.chaos.storm import beside, new_seed

BODIES = 800
RECORDS = 150
DEADLINE_SECONDS = 90.0
EVIL = "low"
"""Queue of malformed messages."""
EVIL_MODULE = "evil_module"
NAMES = [
    *["chaos.plain"] * 12,
    "os:system",
    "subprocess:Popen",
    "../../etc/passwd:x",
    "a" * 5000,
    "evil\n2026 INFO forged line",
    "\x1b]0;title\x07[red]x[/red]",
    "tests.chaos.inside.app:app",
    "__main__:x",
    "\x00",
    f"{EVIL_MODULE}:boom",
    "asynctasq.cli:main",
    "%s%n",
]


async def check_fuzzed_store(store: Store, folder: Path) -> None:
    """Send malformed bodies, write malformed records, and look what becomes of good tasks."""
    seed = new_seed()
    print(f"seed {seed}")
    chance = random.Random(seed)
    report = Report(store.kind, seed, BODIES)
    (folder / "first").mkdir()
    (folder / f"{EVIL_MODULE}.py").write_text(f"open({str(folder / 'imported')!r}, 'w').close()\n")
    SwitchBoard(folder).turn_all_off()
    store.start()
    fleet = WorkerFleet(folder, worker_environment(store.kind, store.address), report)
    switches = Switches(folder)
    audit = Audit(folder, switches)
    try:
        driver_made = store.driver(audit)
        async with App({"driver": driver_made, **SETTINGS}) as app:
            driver: Any = await app.driver()
            async with beside(_recruit(fleet)):
                await _good_tasks_run(app)
                await _send_malformed(app, driver, chance)
                await _good_tasks_run(app)
                for _ in range(RECORDS):
                    await store.write_nonsense(chance)
                await _good_tasks_run(app)
                await _until_over(driver)
            await _look_at_everything(driver)
            await asyncio.to_thread(fleet.dismiss)
    finally:
        fleet.close()
        store.stop()
        switches.stop()
        audit.close()
    assert not (folder / "imported").exists(), "a message made a worker import a file"
    assert not report.problems, str(report)


async def _recruit(fleet: WorkerFleet) -> None:
    while True:
        fleet.recruit()
        await asyncio.sleep(0.2)


async def _good_tasks_run(app: App) -> None:
    """Each worker of the fleet runs what is well-formed."""
    calls = [
        kind(1).on_queue(queue)
        for queue in OWN_QUEUES
        for kind in (tasks.plain, tasks.threaded, tasks.computing)
    ]
    handles = await app.dispatch_many(calls)
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await asyncio.gather(*(each.result() for each in handles)) == [2] * len(calls)


async def _send_malformed(app: App, driver: Any, chance: random.Random) -> None:
    runtime = runtime_of(app)
    messages = MessageFactory(runtime.codec, runtime.defaults, sender=ref(app))
    good = messages.make(tasks.plain(1)).body
    for _ in range(BODIES):
        body = bytearray(good if chance.random() < 0.6 else chance.randbytes(chance.randrange(100)))
        for _ in range(chance.choice([0, 1, 1, 2, 4])):
            if body:
                body[chance.randrange(len(body))] = chance.randrange(256)
        message = Message(
            new_id(),
            EVIL,
            chance.choice(NAMES),
            bytes(body),
            max_attempts=chance.choice([0, 1, 2]),
            result_ttl=60.0,
        )
        try:
            await driver.enqueue([message])
        except DriverError:  # refused by name or body
            continue


async def _until_over(driver: Any) -> None:
    """Return when no malformed message waits or is leased."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        counts = await driver.count(EVIL)
        if not (counts.ready or counts.leased or counts.scheduled):
            return
        assert time.monotonic() < deadline, f"malformed messages do not end: {counts}"
        await asyncio.sleep(0.2)


async def _look_at_everything(driver: Any) -> None:
    """Every way to look at messages works, and every dead letter can be found and deleted."""
    letters = await dead_letters(driver)
    ids = [each.message.id for each in letters]
    for start in range(0, len(ids), 200):
        some = ids[start : start + 200]
        assert all(each is not None for each in await driver.find(some))
        assert all(each is not None for each in await driver.results(some))
        assert all(await driver.delete_dead(some))
    for state in (State.READY, State.SCHEDULED, State.LEASED, State.DEAD):
        assert not (await driver.browse(state, queue=EVIL, limit=100)).items
    assert [each.dead for each in await driver.queues() if each.name == EVIL] in ([], [0])
