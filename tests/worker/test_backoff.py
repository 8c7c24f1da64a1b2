"""Pauses between attempts, and work that survives the cancellation of its caller."""

import asyncio

import pytest

from asynctasq.backoff import Backoff
from asynctasq.uncancelled import uncancelled


def test_pauses_grow_up_to_a_limit() -> None:
    backoff = Backoff(first=0.5, longest=30.0)
    pauses = [backoff.pause(failures) for failures in range(10_000)]
    assert pauses[:8] == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert set(pauses[8:]) == {30.0}


def test_jitter_varies_pauses_within_its_share() -> None:
    backoff = Backoff(first=1.0, longest=1.0, jitter=0.5)
    pauses = {backoff.pause(1) for _ in range(100)}
    assert len(pauses) > 1
    assert all(0.5 <= pause <= 1.5 for pause in pauses)


async def test_work_ends_although_its_caller_is_cancelled() -> None:
    go_on = asyncio.Event()
    hurried: list[bool] = []

    async def work() -> str:
        await go_on.wait()
        return "done"

    caller = asyncio.create_task(uncancelled(work(), on_cancel=lambda: hurried.append(True)))
    for _ in range(3):
        await asyncio.sleep(0)
        caller.cancel()
    await asyncio.sleep(0)
    go_on.set()
    assert await caller == ("done", True)
    assert hurried


async def test_an_error_of_the_work_is_raised() -> None:
    async def work() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError):
        await uncancelled(work())
