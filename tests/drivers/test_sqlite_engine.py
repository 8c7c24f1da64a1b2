"""The thread behind the driver: ends and beginnings, wake-ups, forks, several processes."""

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import textwrap
import threading
import warnings
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.drivers.sqlite.session import Session
from asynctasq.errors import DriverError
from asynctasq.message import Message, new_id
from asynctasq.settlement import Complete
from tests.drivers.sqlite_operations import OpenSqliteDriver

LONG = 60.0
"""Seconds: a wait that lasts so long has not been woken."""


def a_message(queue: str = "emails") -> Message:
    return Message(new_id(), queue, "app.send", b"body")


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[SqliteDriver]:
    opened = SqliteDriver(tmp_path / "work.db")
    await opened.open()
    yield opened
    await opened.close()


def threads_of(driver: SqliteDriver) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if driver.description in thread.name]


# Ends and beginnings.


async def test_closing_ends_the_thread_and_may_be_repeated(tmp_path: Path) -> None:
    driver = SqliteDriver(tmp_path / "work.db")
    await driver.close()
    await driver.open()
    await driver.open()
    assert len(threads_of(driver)) == 1
    await driver.close()
    await driver.close()
    assert threads_of(driver) == []


async def test_failed_opening_leaves_no_thread(tmp_path: Path) -> None:
    driver = SqliteDriver(tmp_path / "nowhere" / "work.db")
    with pytest.raises(DriverError):
        await driver.open()
    assert threads_of(driver) == []


async def test_closed_driver_says_so_and_opens_again(driver: SqliteDriver) -> None:
    message = a_message()
    await driver.enqueue([message])
    await driver.close()
    with pytest.raises(DriverError, match="not open"):
        await driver.count("emails")
    await driver.open()
    assert (await driver.count("emails")).ready == 1


async def test_what_was_asked_before_closing_is_done(driver: SqliteDriver) -> None:
    calls = [asyncio.ensure_future(driver.enqueue([a_message()])) for _ in range(50)]
    await asyncio.sleep(0)
    await driver.close()
    assert all(answer[0].created for answer in await asyncio.gather(*calls))


async def test_waiting_ends_when_the_driver_is_closed(driver: SqliteDriver) -> None:
    waiting = asyncio.ensure_future(driver.wait(["emails"], timeout=LONG))
    await driver.count("emails")
    await driver.close()
    await asyncio.wait_for(waiting, LONG / 2)


def test_driver_of_a_closed_loop_can_be_closed_on_another(tmp_path: Path) -> None:
    driver = SqliteDriver(tmp_path / "work.db")
    asyncio.run(driver.open())
    asyncio.run(driver.close())
    assert threads_of(driver) == []


async def test_call_whose_caller_gave_up_is_done_nevertheless(driver: SqliteDriver) -> None:
    call = asyncio.ensure_future(driver.enqueue([a_message()]))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await driver.count("emails")).ready == 1


def test_answer_for_a_closed_loop_is_dropped(tmp_path: Path) -> None:
    driver = OpenSqliteDriver(tmp_path / "work.db")
    begun, go_on = threading.Event(), threading.Event()

    def slow(_: Session) -> None:
        begun.set()
        go_on.wait()

    async def leave_behind() -> None:
        await driver.open()
        call = asyncio.ensure_future(driver.write(slow))
        await asyncio.to_thread(begun.wait)
        call.cancel()

    async def use_again() -> int | None:
        await driver.enqueue([a_message()])
        ready = (await driver.count("emails")).ready
        await driver.close()
        return ready

    asyncio.run(leave_behind())
    go_on.set()
    assert asyncio.run(use_again()) == 1


NOT_CLOSED = """
    import asyncio, sys
    from asynctasq.drivers.sqlite import SqliteDriver
    from asynctasq.message import Message, new_id

    driver = SqliteDriver(sys.argv[1])

    async def main():
        await driver.open()
        await driver.enqueue([Message(new_id(), "emails", "app.send", b"")])
        asyncio.ensure_future(driver.wait(["others"], timeout=1000.0))
        await driver.count("emails")

    asyncio.run(main())
"""


def test_program_that_does_not_close_neither_hangs_nor_warns(tmp_path: Path) -> None:
    path = tmp_path / "work.db"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", textwrap.dedent(NOT_CLOSED), path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    # The file was closed in order: nothing but it is left.
    assert [left.name for left in tmp_path.iterdir()] == ["work.db"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
async def test_forked_child_is_refused_and_opens_its_own(driver: SqliteDriver) -> None:
    await driver.enqueue([a_message()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of forking beside threads: that is it
        child = os.fork()
    if child == 0:
        status = 1
        try:
            status = asyncio.new_event_loop().run_until_complete(use_in_child(driver))
        finally:
            os._exit(status)
    _, waited = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(waited) == 0
    assert (await driver.count("emails")).ready == 2


async def use_in_child(driver: SqliteDriver) -> int:
    try:
        await driver.count("emails")
    except DriverError as error:
        if "forked child" not in str(error):
            return 2
    else:
        return 3
    await driver.close()  # the parent's: nothing happens
    clone = driver.clone()
    await clone.open()
    await clone.enqueue([a_message()])
    await clone.close()
    return 0


# Waiting.


async def test_wait_is_over_at_once_where_there_is_work(driver: SqliteDriver) -> None:
    await driver.enqueue([a_message()])
    await asyncio.wait_for(driver.wait(["others", "emails"], timeout=LONG), LONG / 2)


async def test_commit_of_a_neighbour_wakes_without_polling(tmp_path: Path) -> None:
    waiting, writing = (SqliteDriver(tmp_path / "work.db", poll_interval=LONG) for _ in range(2))
    await waiting.open()
    await writing.open()
    message = a_message()
    for_work = asyncio.ensure_future(waiting.wait(["emails"], timeout=LONG))
    await waiting.count("emails")
    await writing.enqueue([message])
    await asyncio.wait_for(for_work, LONG / 2)
    for_result = asyncio.ensure_future(waiting.wait_results([message.id], timeout=LONG))
    await waiting.count("emails")
    (delivery,) = await writing.reserve({"emails": 1}, limit=1, owner="worker", lease=30.0)
    await writing.settle([Complete(delivery.lease)])
    await asyncio.wait_for(for_result, LONG / 2)
    await waiting.close()
    await writing.close()


async def test_commit_of_another_process_wakes(driver: SqliteDriver) -> None:
    waiting = asyncio.ensure_future(driver.wait(["emails"], timeout=LONG))
    await driver.count("emails")
    program = textwrap.dedent(NOT_CLOSED)
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", program, driver.description)
    await asyncio.wait_for(waiting, LONG / 2)
    assert await child.wait() == 0


async def test_many_wait_for_results_and_each_is_woken_by_its_own(driver: SqliteDriver) -> None:
    messages = [a_message() for _ in range(20)]
    await driver.enqueue(messages)
    waiting = {
        message.id: asyncio.ensure_future(driver.wait_results([message.id], timeout=LONG))
        for message in messages
    }
    deliveries = await driver.reserve({"emails": 20}, limit=20, owner="worker", lease=30.0)
    await driver.settle([Complete(delivery.lease) for delivery in deliveries[:7]])
    done = [waiting.pop(delivery.lease.id) for delivery in deliveries[:7]]
    await asyncio.wait_for(asyncio.gather(*done), LONG / 2)
    assert not any(future.done() for future in waiting.values())
    await driver.settle([Complete(delivery.lease) for delivery in deliveries[7:]])
    await asyncio.wait_for(asyncio.gather(*waiting.values()), LONG / 2)


async def test_waiting_writes_nothing(driver: SqliteDriver) -> None:
    await driver.enqueue([a_message("others")])
    with closing(sqlite3.connect(driver.description)) as observer:

        def version() -> int:
            return int(observer.execute("PRAGMA data_version").fetchone()[0])

        before = version()
        await driver.wait(["emails"], timeout=0.1)
        assert version() == before


# Several processes.

HAMMER = """
    import asyncio, sys, threading
    from asynctasq.drivers.sqlite import SqliteDriver
    from asynctasq.message import Message, new_id
    from asynctasq.settlement import Complete, Release, Settled

    PER_THREAD, TOGETHER = 120, 12

    async def work(owner):
        driver = SqliteDriver(sys.argv[1], synchronous="off", busy_timeout=60.0)
        await driver.open()
        for _ in range(PER_THREAD // TOGETHER):
            await driver.enqueue(
                [Message(new_id(), "emails", "app.send", b"") for _ in range(TOGETHER)]
            )
            deliveries = await driver.reserve(
                {"emails": TOGETHER}, limit=TOGETHER, owner=owner, lease=600.0
            )
            give_back, done = deliveries[:3], deliveries[3:]
            answers = await driver.settle(
                [Release(delivery.lease) for delivery in give_back]
                + [Complete(delivery.lease, b"done") for delivery in done]
            )
            assert answers == [Settled.DONE] * len(deliveries), answers
            for delivery in done:
                sys.stdout.write(delivery.lease.id.hex() + "\\n")  # print() would write twice
        await driver.close()

    threads = [
        threading.Thread(target=lambda i=i: asyncio.run(work(f"{sys.argv[2]}-{i}")))
        for i in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


async def test_processes_with_threads_lose_and_double_nothing(driver: SqliteDriver) -> None:
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            textwrap.dedent(HAMMER),
            driver.description,
            str(number),
            stdout=subprocess.PIPE,
        )
        for number in range(2)
    ]
    done: Counter[str] = Counter()
    for child in children:
        output, _ = await child.communicate()
        assert child.returncode == 0
        done.update(output.decode().split())
    assert set(done.values()) == {1}
    counts = await driver.count("emails")
    assert counts.leased == 0
    assert counts.ready is not None
    assert len(done) + counts.ready == 2 * 3 * 120


async def test_concurrent_calls_of_all_kinds_answer_each_its_own(driver: SqliteDriver) -> None:
    messages = [a_message() for _ in range(200)]
    choose = random.Random(1)

    async def live(message: Message) -> bool:
        (enqueued,) = await driver.enqueue([message])
        await asyncio.sleep(choose.random() / 100)
        (again,) = await driver.enqueue([message])
        (snapshot,) = await driver.find([message.id])
        return (
            (enqueued.id, enqueued.created, again.id, again.created)
            == (message.id, True, message.id, False)
            and snapshot is not None
            and snapshot.message == message
        )

    assert all(await asyncio.gather(*map(live, messages)))
