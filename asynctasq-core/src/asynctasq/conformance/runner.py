"""Running checks: each on a fresh pair of instances, with a time limit and a cleanup."""

import asyncio
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypedDict

from asynctasq.conformance.applicability import why_not
from asynctasq.conformance.background_load import expect_unharmed, fill
from asynctasq.conformance.check import Check
from asynctasq.conformance.cleanup import tidy_up
from asynctasq.conformance.harness import Begin, Damage, Harness, Leftovers, StopHard
from asynctasq.conformance.themes import all_checks
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver
from asynctasq.records import record

CHECK_TIMEOUT = 30.0
_TURNS_TO_SETTLE = 20


@record
class CheckResult:
    """The result of one check."""

    check: Check
    failure: str | None
    """The reason of the failure, with a traceback; None if the check passed."""
    known: str | None
    """The declared reason, if it was expected to fail."""
    seconds: float
    error: Exception | None = None
    """The exception behind `failure`."""

    @property
    def ok(self) -> bool:
        """True if the check passed, or failed as declared."""
        return (self.failure is None) == (self.known is None)


@record
class Report:
    """The results of a run of the suite."""

    results: tuple[CheckResult, ...]
    skipped: tuple[Check, ...] = ()
    """Checks that do not apply to the driver: it lacks a capability, or its messages do not last."""
    tidy: bool = True
    """True if the checks left nothing in the store; False if the driver cannot tell."""

    @property
    def ok(self) -> bool:
        return all(result.ok for result in self.results)

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """Checks that failed undeclared, or passed although declared to fail."""
        return tuple(result for result in self.results if not result.ok)

    def __str__(self) -> str:
        lines = [f"{len(self.results)} checks, {len(self.failures)} not as expected"]
        for result in self.failures:
            what = result.failure or f"passes, but is declared to fail: {result.known}"
            lines.append(f"\n{result.check.theme}.{result.check.name}: {what}")
        return "\n".join(lines)


def select_checks(
    capabilities: Capability,
    *,
    durable: bool,
    known_failures: Collection[str] = (),
    only: Collection[str] | None = None,
    can_damage: bool = False,
    can_stop: bool = False,
    can_transact: bool = False,
    clock_is_movable: bool = True,
    real_time: bool = False,
) -> list[Check]:
    """Return the checks that apply to such a driver, in the order of the suite.

    Args:
        capabilities: those of the driver.
        durable: messages outlive the last open instance.
        known_failures: names of checks that are declared to fail.
        only: names of checks or themes; None for all.
        can_damage: whether there is a way to damage a record.
        can_stop: whether there is a way to stop the store hard.
        can_transact: whether there is a way to begin a transaction of an application.
        clock_is_movable: the attribute of the driver. Without it, no check moves the clock, and the theme
            `real_time` is checked.
        real_time: check the theme `real_time` in any case; naming it in `only` does the same.

    Raises:
        ValueError: `known_failures` or `only` names what is not among them.
    """
    named = only or ()
    checks = [
        check
        for check in all_checks()
        if check.applies_to(
            capabilities,
            durable=durable,
            can_damage=can_damage,
            can_stop=can_stop,
            can_transact=can_transact,
            clock_is_movable=clock_is_movable,
            real_time=real_time or check.theme in named or check.name in named,
        )
    ]
    unknown = set(known_failures) - {check.name for check in checks}
    if only is not None:
        unknown |= set(only) - {name for check in checks for name in (check.name, check.theme)}
        checks = [check for check in checks if check.name in only or check.theme in only]
    if unknown:
        raise ValueError("; ".join(why_not(name, capabilities) for name in sorted(unknown)))
    return checks


async def run_check(
    check: Check,
    make_driver: Callable[[], Driver],
    *,
    timeout: float = CHECK_TIMEOUT,
    leftovers: Leftovers | None = None,
    make_neighbour: Callable[[], Driver] | None = None,
    damage: Damage | None = None,
    stop_hard: StopHard | None = None,
    transaction: Begin | None = None,
) -> bool:
    """Run one check; whether the driver says that nothing of it is left in its namespace.

    Args:
        check: the rule.
        make_driver: gives an unopened driver.
        timeout: seconds.
        leftovers: of checks that were in the same namespace before, and are tidied up with this one by
            the caller; None to tidy up now.
        make_neighbour: gives an unopened driver on another namespace of the same store. Then the check
            runs beside messages of others, there and in a queue of its own namespace.
        damage: makes the stored record of a message unreadable.
        stop_hard: stops the store so that it may lose its last writes, and starts it again.
        transaction: begins a transaction of an application in the database of the driver.

    Raises:
        AssertionError: the driver breaks the rule, or leaves tasks or unhandled errors behind.
        Exception: whatever the driver raised.
    """
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    unhandled: list[Mapping[str, object]] = []
    previous = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: unhandled.append(context))
    own = Leftovers() if leftovers is None else None
    tidy = True
    try:
        harness = Harness(
            make_driver,
            leftovers=own or leftovers,
            damage=damage,
            stop_hard=stop_hard,
            transaction=transaction,
        )
        try:
            async with asyncio.timeout(timeout):
                if make_neighbour is None:
                    await _play(check, harness)
                else:
                    await _play_beside_others(check, harness, make_neighbour)
        except Exception as error:
            if own is not None:
                await _tidy_after(error, harness, own, timeout)
            raise
        if own is not None:
            async with asyncio.timeout(timeout):
                tidy = await tidy_up(harness.driver.clone(), own)
        for _ in range(_TURNS_TO_SETTLE):
            await asyncio.sleep(0)
        left = asyncio.all_tasks() - before
    finally:
        loop.set_exception_handler(previous)
    if left:
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        raise AssertionError(f"tasks left running after close: {', '.join(map(repr, left))}")
    if unhandled:
        raise AssertionError(f"unhandled errors: {unhandled}")
    return tidy


async def _tidy_after(
    error: Exception, harness: Harness, leftovers: Leftovers, timeout: float
) -> None:
    """Clean up after a check that failed. Errors of the cleanup must not hide that failure."""
    try:
        async with asyncio.timeout(timeout):
            await tidy_up(harness.driver.clone(), leftovers)
    except Exception as another:  # noqa: BLE001 - told beside the first
        error.add_note(f"What it made could not be deleted: {another!r}")


async def _play(check: Check, harness: Harness) -> None:
    async with harness:
        await check.run(harness)


async def _play_beside_others(
    check: Check, harness: Harness, make_neighbour: Callable[[], Driver]
) -> None:
    """Run a check on a store that is in use."""
    neighbour, leftovers = make_neighbour(), Leftovers()
    try:
        await neighbour.open()
        queue = await fill(neighbour, leftovers)
        async with harness:
            await fill(harness.driver, harness.leftovers)
            await check.run(harness)
        await expect_unharmed(neighbour, queue)
    finally:
        await neighbour.close()
        await tidy_up(neighbour.clone(), leftovers)


class _Conditions(TypedDict):
    """Conditions of `select_checks` and `Check.applies_to`."""

    durable: bool
    can_stop: bool
    can_transact: bool
    clock_is_movable: bool
    real_time: bool


def declared_failures(driver: Driver, *, only: Collection[str] | None = None) -> Mapping[str, str]:
    """Return the failures that a driver declares itself: name of check to reason.

    Raises:
        ValueError: the driver names a check that does not exist.
    """
    declared: Mapping[str, str] = getattr(driver, "known_failures", {})
    themes = {check.name: check.theme for check in all_checks()}
    unknown = sorted(set(declared) - set(themes))
    if unknown:
        raise ValueError(f"known_failures of {driver!r} has no check called {', '.join(unknown)}.")
    return {
        name: reason
        for name, reason in declared.items()
        if only is None or name in only or themes[name] in only
    }


async def run_conformance(
    make_driver: Callable[[], Driver],
    *,
    durable: bool = False,
    known_failures: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
    timeout: float = CHECK_TIMEOUT,
    stop_at_first: bool = False,
    one_namespace: bool = False,
    make_neighbour: Callable[[], Driver] | None = None,
    on_result: Callable[[CheckResult], object] | None = None,
    damage: Damage | None = None,
    stop_hard: StopHard | None = None,
    transaction: Begin | None = None,
    real_time: bool = False,
) -> Report:
    """Run every check that applies to the driver in the running loop, and return a report.

    `make_driver` is called once for each check and gives an unopened instance. It may give the same
    store each time; a namespace of its own keeps the moved clock away from real work. What a check
    made is deleted after it, as far as the driver can.

    Args:
        durable: messages outlive the last open instance, so that reopening can be checked.
        known_failures: name of check to reason; those must fail. Those that the driver itself declares are
            added.
        only: names of checks or themes to run.
        timeout: seconds for each check.
        stop_at_first: end at the first that does not come out as expected.
        one_namespace: `make_driver` gives the same namespace each time. Time goes on from check to
            check, and it is emptied at the end.
        make_neighbour: gives an unopened driver on another namespace of the same store. Then each check
            runs beside messages of others, there and in a queue of its own namespace.
        on_result: told of each result as it comes.
        damage: makes the stored record of a message unreadable; without it no check of rule 49 is made.
        stop_hard: stops the store so that it may lose its last writes, and starts it again; without it no
            check does.
        transaction: begins a transaction of an application in the database of the driver; without it, the theme
            `transactions` is not checked.
        real_time: check the theme `real_time` although the clock is movable.
    """
    example = make_driver()
    capabilities = example.capabilities
    conditions = _Conditions(
        durable=durable,
        can_stop=stop_hard is not None,
        can_transact=transaction is not None,
        clock_is_movable=example.clock_is_movable,
        real_time=real_time,
    )
    known = {**declared_failures(example, only=only), **(known_failures or {})}
    checks = select_checks(
        capabilities,
        known_failures=known_failures or (),
        only=only,
        can_damage=damage is not None,
        **conditions,
    )
    skipped = [
        check
        for check in all_checks()
        if not check.applies_to(
            capabilities,
            durable=durable,
            can_damage=True,
            can_stop=True,
            can_transact=True,
            clock_is_movable=conditions["clock_is_movable"],
            real_time=True,
        )
    ]
    results: list[CheckResult] = []
    leftovers = Leftovers() if one_namespace else None
    # What can be purged may wait until the end; what cannot may make every further call slower.
    at_once = Capability.PURGE not in capabilities
    tidy = True
    try:
        for check in checks:
            started = time.perf_counter()
            failure: Exception | None = None
            try:
                tidied = await run_check(
                    check,
                    make_driver,
                    timeout=timeout,
                    leftovers=leftovers,
                    make_neighbour=make_neighbour,
                    damage=damage,
                    stop_hard=stop_hard,
                    transaction=transaction,
                )
                tidy = tidy and tidied
            except Exception as error:  # noqa: BLE001 - whatever it is, the report tells it
                failure = error
            told = "".join(traceback.format_exception(failure)) if failure else None
            seconds = time.perf_counter() - started
            result = CheckResult(check, told, known.get(check.name), seconds, failure)
            results.append(result)
            if on_result is not None:
                on_result(result)
            if stop_at_first and not result.ok:
                break
            if leftovers is not None and at_once:
                tidy = await tidy_up(make_driver(), leftovers) and tidy
    finally:
        if leftovers is not None:
            tidy = await tidy_up(make_driver(), leftovers) and tidy
    return Report(tuple(results), tuple(skipped), tidy)


def guarantees(checks: Sequence[Check]) -> dict[str, list[str]]:
    """Letter of a guarantee to the names of the checks that prove it."""
    letters = sorted({letter for check in checks for letter in check.proves})
    return {
        letter: [check.name for check in checks if letter in check.proves] for letter in letters
    }
