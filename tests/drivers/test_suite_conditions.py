"""Attributes of a driver and hooks of its suite decide which checks run."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from asynctasq.conformance import Check, DriverConformance, all_checks, run_check, run_conformance
from asynctasq.conformance.runner import select_checks
from asynctasq.contracts import (
    Capability,
    Driver,
    DriverError,
    Enqueued,
    EnqueuedPartly,
    Message,
    QueueCounts,
)
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.memory.brokered import StateStore as Store
from asynctasq.drivers.memory.entry import Entry

pytestmark = pytest.mark.sampled(2)

REAL_TIME = [check for check in all_checks() if check.real_time]
MIB = 1 << 20


class Fixed(MemoryDriver):
    """A store whose clock is somebody else's."""

    clock_is_movable = False


class Impatient(Fixed):
    """Takes every delay, lease and expiry for a tenth of what it is."""

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        return await super().enqueue([replace(each, delay=each.delay / 10) for each in messages])

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> Any:
        return await super().reserve(queues, limit=limit, owner=owner, lease=lease / 10)

    async def extend(self, owner: str, leases: Any, *, lease: float) -> Any:
        return await super().extend(owner, leases, lease=lease / 10)

    async def settle(self, settlements: Any) -> Any:
        hurried = [
            replace(each, delay=each.delay / 10) if hasattr(each, "delay") else each
            for each in settlements
        ]
        return await super().settle(hurried)


def failures(make: Callable[[], Driver]) -> dict[str, str]:
    """Run the checks of the theme `real_time` beside each other; return what fails."""

    def run(check: Check) -> str | None:
        try:
            asyncio.run(run_check(check, make))
        except AssertionError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(len(REAL_TIME)) as threads:
        found = dict(zip(REAL_TIME, threads.map(run, REAL_TIME), strict=True))
    return {check.name: failure for check, failure in found.items() if failure is not None}


def test_a_healthy_driver_passes_in_real_time() -> None:
    assert failures(Fixed) == {}


def test_a_driver_that_is_too_early_fails_in_real_time() -> None:
    assert failures(Impatient).keys() >= {
        "lease_ends_in_real_time",
        "delay_in_real_time",
        "retry_delay_in_real_time",
        "release_delay_in_real_time",
    }


def test_a_clock_that_is_not_movable_is_not_moved() -> None:
    checks = select_checks(Fixed.capabilities, durable=False, clock_is_movable=False)
    assert {check.theme for check in checks} >= {"real_time", "lease", "settle"}
    assert "ended_lease_is_delivered_again" not in {check.name for check in checks}


async def test_the_other_checks_pass_without_a_movable_clock() -> None:
    only = {
        check.theme
        for check in all_checks()
        if check.applies_to(Fixed.capabilities, durable=False, clock_is_movable=False)
    } - {"real_time", "bounds"}
    report = await run_conformance(Fixed, only=only)
    assert report.ok, report


async def test_checks_in_real_time_are_made_on_request_only() -> None:
    names = {check.name for check in REAL_TIME}
    usual = select_checks(MemoryDriver.capabilities, durable=False)
    assert not names & {check.name for check in usual}
    wanted = select_checks(MemoryDriver.capabilities, durable=False, real_time=True)
    assert names <= {check.name for check in wanted}


# A store that is stopped hard.


async def forget_everything(driver: Driver) -> None:
    assert isinstance(driver, MemoryDriver)
    driver.inspect().empty()


async def test_a_store_that_forgets_everything_passes() -> None:
    report = await run_conformance(MemoryDriver, only=["crash"], stop_hard=forget_everything)
    assert report.ok, report
    assert [result.check.name for result in report.results] == [
        "no_token_repeats_after_a_hard_stop"
    ]


def test_a_suite_with_the_hook_stops_its_store() -> None:
    class Suite(DriverConformance):
        def make_driver(self) -> Driver:
            return MemoryDriver()

        async def stop_hard(self, driver: Driver) -> None:
            await forget_everything(driver)

    [check] = [check for check in all_checks() if check.stops and not check.durable]
    Suite().test_check(check, Path())


async def test_tokens_that_repeat_after_a_hard_stop_are_noticed() -> None:
    class Counting(Store):
        def _next_token(self, entry: Entry, now: float) -> int:
            return entry.token + 1

    class Forgetful(MemoryDriver):
        store_class = Counting

    report = await run_conformance(
        Forgetful,
        only=["no_token_repeats_after_a_hard_stop"],
        stop_hard=forget_everything,
    )
    [failure] = report.failures
    assert "was that of a lease before the stop" in str(failure.error)


# A driver with limits, and known failures.


class Limited(MemoryDriver):
    max_message_bytes: int | None = 2 * MIB

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        for message in messages:
            if len(message.body) > 2 * MIB:
                raise DriverError(f"The body of {message.task} is too large.")
        return await super().enqueue(messages)


class InParts(Limited):
    """Takes of a chunk what it can, as a broker does."""

    capabilities = MemoryDriver.capabilities & ~Capability.ATOMIC

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        answers: list[Enqueued | DriverError] = []
        for message in messages:
            try:
                answers += await super().enqueue([message])
            except DriverError as error:
                answers.append(error)
        if all(isinstance(answer, Enqueued) for answer in answers):
            return [answer for answer in answers if isinstance(answer, Enqueued)]
        raise EnqueuedPartly("part of a chunk was refused", answers=answers)


class Boundless(MemoryDriver):
    """Accepts more than it says."""

    max_message_bytes: int | None = 2 * MIB


class Liar(InParts):
    """Says of what it refused that it was accepted."""

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        try:
            return await super().enqueue(messages)
        except EnqueuedPartly as error:
            every = [Enqueued(message.id, created=True) for message in messages]
            raise EnqueuedPartly(str(error), answers=every) from error


@pytest.mark.parametrize("driver", [Limited, InParts])
async def test_a_driver_that_keeps_its_limit_passes(driver: type[MemoryDriver]) -> None:
    report = await run_conformance(driver, only=["bounds"])
    assert report.ok, report


@pytest.mark.parametrize("driver", [Boundless, Liar])
async def test_a_driver_that_breaks_its_limit_is_noticed(driver: type[MemoryDriver]) -> None:
    report = await run_conformance(driver, only=["bounds"])
    assert "chunk_with_a_message_beyond_the_limit" in {each.check.name for each in report.failures}


class Declared(MemoryDriver):
    known_failures = MappingProxyType({"first_in_first_out": "delivered in any order"})

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> Any:
        return (await super().reserve(queues, limit=limit, owner=owner, lease=lease))[::-1]


async def test_failures_that_a_driver_declares_must_fail() -> None:
    only = ["first_in_first_out"]
    report = await run_conformance(Declared, only=only)
    assert report.ok, report
    assert report.results[0].known == "delivered in any order"

    class Healed(MemoryDriver):
        known_failures = Declared.known_failures

    report = await run_conformance(Healed, only=only)
    assert not report.ok


async def test_a_declared_failure_of_no_check_is_an_error() -> None:
    class Misspelt(MemoryDriver):
        known_failures = MappingProxyType({"frist_in": "?"})

    with pytest.raises(ValueError, match="frist_in"):
        await run_conformance(Misspelt, only=["order"])


async def test_counts_may_be_unknown_without_exact_count() -> None:
    class Uncounted(MemoryDriver):
        capabilities = MemoryDriver.capabilities & ~Capability.EXACT_COUNT

        async def count(self, queue: str, *, bound: int | None = None) -> QueueCounts:
            return QueueCounts(None, None, None, None, None)

    report = await run_conformance(Uncounted, only=["due", "settle", "cancel", "purge", "lease"])
    assert report.ok, report
