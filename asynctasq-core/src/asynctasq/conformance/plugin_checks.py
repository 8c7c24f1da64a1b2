"""Checks of serializers, resolvers and executors: one rule each, as a pytest class or without pytest."""

import asyncio
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar, Protocol

from asynctasq.records import record

CHECK_SECONDS = 60.0
_TURNS_TO_SETTLE = 20


@record
class PluginCheck:
    """One rule of a contract, and a coroutine that raises if a plugin breaks it."""

    name: str
    rule: str
    """The rule in a sentence."""
    consequence: str
    """The effect on users if the rule is broken."""
    run: Callable[[Any], Awaitable[None]]
    needs: str = ""
    """Attribute of the suite that must be true, or method that it must define; empty for every suite."""


class Checks(list[PluginCheck]):
    """The checks of one kind of plugin, in the order of their definition."""

    def rule(
        self, rule: str, consequence: str, *, needs: str = ""
    ) -> Callable[[Callable[[Any], Awaitable[None]]], PluginCheck]:
        """Add a check; the name of the decorated coroutine function is its name.

        Args:
            rule: the rule in a sentence.
            consequence: the effect on users if the rule is broken.
            needs: as `PluginCheck.needs`.
        """

        def add(run: Callable[[Any], Awaitable[None]]) -> PluginCheck:
            check = PluginCheck(run.__name__, rule, consequence, run, needs)
            self.append(check)
            return check

        return add


@record
class PluginCheckResult:
    """The result of one check."""

    check: PluginCheck
    failure: str | None
    """The error with its traceback; None if the check passed."""
    known: str | None
    """The declared reason, if the check was expected to fail."""

    @property
    def ok(self) -> bool:
        """True if the check passed, or failed as declared."""
        return (self.failure is None) == (self.known is None)


@record
class PluginReport:
    """The results of one suite."""

    results: tuple[PluginCheckResult, ...]

    @property
    def ok(self) -> bool:
        """True if every check passed, or failed as declared."""
        return not self.failures

    @property
    def failures(self) -> tuple[PluginCheckResult, ...]:
        """The checks that failed, or that passed although a failure is declared."""
        return tuple(result for result in self.results if not result.ok)

    def __str__(self) -> str:
        lines = [f"{len(self.results)} checks, {len(self.failures)} not as expected"]
        for result in self.failures:
            problem = result.failure or f"passes, but is declared to fail: {result.known}"
            lines += [
                f"\n{result.check.name}: {problem}",
                f"Rule: {result.check.rule}",
                f"Consequence: {result.check.consequence}",
                f"Repeat: run_plugin_conformance(suite, only=[{result.check.name!r}])",
            ]
        return "\n".join(lines)


class _Metafunc(Protocol):
    """The argument of `pytest_generate_tests`, as far as it is used here."""

    @property
    def fixturenames(self) -> list[str]: ...

    def parametrize(
        self, argnames: str, argvalues: Sequence[PluginCheck], *, ids: list[str]
    ) -> None: ...


class PluginConformance:
    """Base of the suites: each check of `checks` becomes one test of the plugin.

    A subclass cannot override or skip a check. To declare that a check fails, add it to
    `known_failures` with the reason; it must fail then.
    """

    checks: ClassVar[Sequence[PluginCheck]] = ()
    known_failures: ClassVar[Mapping[str, str]] = {}
    """Name of a check to the reason why it fails."""
    check_timeout: ClassVar[float] = CHECK_SECONDS
    """Seconds for each check."""
    folder: Path
    """An empty folder for each check."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        overridden = {"test_check", "pytest_generate_tests"} & set(vars(cls))
        if overridden:
            raise TypeError(
                f"{cls.__qualname__} must not override {', '.join(sorted(overridden))}. Declare a check "
                f"that fails in known_failures = {{'name_of_check': 'reason'}}."
            )

    def harness(self) -> AbstractAsyncContextManager[Any]:
        """Return the object with which a check works."""
        raise NotImplementedError

    @classmethod
    def selected_checks(cls, only: Collection[str] | None = None) -> list[PluginCheck]:
        """Return the checks that apply to the plugin.

        Args:
            only: names of checks; None for all.

        Raises:
            ValueError: `only` or `known_failures` names a check that does not exist or apply.
        """
        found = [each for each in cls.checks if not each.needs or cls._has(each.needs)]
        unknown = {*cls.known_failures, *(only or ())} - {each.name for each in found}
        if unknown:
            raise ValueError(f"Unknown checks: {', '.join(sorted(unknown))}.")
        return [each for each in found if only is None or each.name in only]

    @classmethod
    def _has(cls, attribute: str) -> bool:
        """Return whether a flag is set, or a method that the suites leave open is defined."""
        value = getattr(cls, attribute)
        return not getattr(value, "_is_optional", False) if callable(value) else bool(value)

    def pytest_generate_tests(self, metafunc: _Metafunc) -> None:
        if "conformance_check" in metafunc.fixturenames:
            checks = self.selected_checks()
            metafunc.parametrize("conformance_check", checks, ids=[each.name for each in checks])

    def test_check(self, conformance_check: PluginCheck, tmp_path: Path) -> None:
        self.folder = tmp_path
        reason = self.known_failures.get(conformance_check.name)
        try:
            asyncio.run(run_plugin_check(self, conformance_check))
        except Exception as error:
            if reason is None:
                error.add_note(f"Rule: {conformance_check.rule}")
                error.add_note(f"Consequence: {conformance_check.consequence}")
                error.add_note(
                    f"Repeat: pytest -k '{type(self).__name__} and {conformance_check.name}'"
                )
                raise
        else:
            if reason is not None:
                raise AssertionError(
                    f"{conformance_check.name} passes, but is declared to fail ({reason}). Remove it "
                    f"from known_failures."
                )


def optional(method: Any) -> Any:
    """Mark a method of a suite that a subclass may define; checks that need it are left out otherwise."""
    method._is_optional = True
    return method


async def run_plugin_check(suite: PluginConformance, check: PluginCheck) -> None:
    """Run one check in the running loop. `suite.folder` must be an empty folder.

    Raises:
        AssertionError: the plugin breaks the rule, or leaves tasks or unhandled errors behind.
        Exception: an exception of the plugin.
    """
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    unhandled: list[Mapping[str, object]] = []
    previous = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: unhandled.append(context))
    try:
        async with asyncio.timeout(suite.check_timeout), suite.harness() as harness:
            await check.run(harness)
        for _ in range(_TURNS_TO_SETTLE):
            await asyncio.sleep(0)
        left = asyncio.all_tasks() - before
    finally:
        loop.set_exception_handler(previous)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    if left:
        raise AssertionError(f"Tasks are still running: {', '.join(map(repr, left))}")
    if unhandled:
        raise AssertionError(f"Errors were not handled: {unhandled}")


async def run_plugin_conformance(
    suite: PluginConformance,
    *,
    only: Collection[str] | None = None,
    on_result: Callable[[PluginCheckResult], object] | None = None,
) -> PluginReport:
    """Run the checks of a suite without pytest, in the running loop.

        report = await run_plugin_conformance(TestMySerializer())
        print(report)

    Args:
        suite: an instance of your subclass of `SerializerConformance`, `ResolverConformance` or
            `ExecutorConformance`.
        only: names of checks; None for all.
        on_result: called with each result.
    """
    results: list[PluginCheckResult] = []
    for check in suite.selected_checks(only):
        failure: str | None = None
        with tempfile.TemporaryDirectory(prefix="asynctasq-") as folder:
            suite.folder = Path(folder)
            try:
                await run_plugin_check(suite, check)
            except Exception as error:  # noqa: BLE001 - the report shows it
                failure = "".join(traceback.format_exception(error))
        result = PluginCheckResult(check, failure, suite.known_failures.get(check.name))
        results.append(result)
        if on_result is not None:
            on_result(result)
    return PluginReport(tuple(results))
