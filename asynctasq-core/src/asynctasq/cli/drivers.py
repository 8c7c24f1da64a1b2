"""`asynctasq drivers`: whether a driver keeps the contract, on a store that runs."""

import asyncio
import dataclasses
import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from asynctasq.cli.exit_codes import ExitCode
from asynctasq.cli.operating import OperatorCommand
from asynctasq.errors import ConfigurationError

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities import Capability
    from asynctasq.contracts.driver import Driver
    from asynctasq.testing.conformance.check import Check
    from asynctasq.testing.conformance.runner import CheckResult, Report

INDENT = "      "


@click.group()
def command() -> None:
    """Examine drivers."""


@command.command("check", cls=OperatorCommand)
@click.argument("driver", metavar="URL")
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="Only this check, or the checks of this theme (lease, unique, ...); may be repeated.",
)
@click.option(
    "--durable/--not-durable",
    default=None,
    help="Whether messages outlive the last open instance. Default: all but memory.",
)
@click.option("--timeout", type=click.FloatRange(min=0.1), default=30.0, help="Seconds per check.")
@click.option("--yes", "-y", is_flag=True, help="Also where the driver has no namespaces.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for programs.")
def check(
    driver: str,
    only: tuple[str, ...],
    durable: bool | None,
    timeout: float,
    yes: bool,
    as_json: bool,
) -> None:
    """Run the conformance suite against the store at URL (or the driver of that name).

    It works in a namespace of its own with a random name, and deletes what it made, so a store in use
    may be checked: it sees some load, and nothing else. Exit code 1 if a rule is broken.
    """
    from asynctasq.contracts.capabilities import check_capabilities

    made = _driver(driver, yes=yes)
    check_capabilities(made, made.capabilities)
    if durable is None:
        durable = driver.partition("://")[0] != "memory"
    watch = _Progress(sys.stderr.isatty() and not as_json)
    started = time.perf_counter()
    report = asyncio.run(_run(made, durable, only, timeout, watch))
    seconds = time.perf_counter() - started
    if as_json:
        click.echo(json.dumps(_document(made, report, seconds), indent=2))
    else:
        click.echo(_text(made, report, seconds, durable=durable))
    if not report.ok:
        sys.exit(ExitCode.FAILED)


def _driver(driver: str, *, yes: bool) -> "Driver":
    """An unopened driver, on a namespace that nobody uses."""
    from asynctasq.app import App
    from asynctasq.testing.conformance.kit import random_name

    app = App({"driver": driver})
    name = app.settings.driver_name
    settings: Any = app.settings.plugin(name)
    namespace = random_name("check")
    if dataclasses.is_dataclass(settings) and hasattr(settings, "namespace"):
        settings = dataclasses.replace(settings, namespace=namespace)  # type: ignore[type-var]  # an instance
    elif not yes:
        raise ConfigurationError(
            f"The driver {name!r} has no setting `namespace`, so that the checks would meet what "
            f"else is in this store, and move its clock. If nothing there matters, add --yes."
        )
    return app.plugins.create_driver(name, settings)


async def _run(
    driver: "Driver",
    durable: bool,
    only: Sequence[str],
    timeout: float,
    watch: "_Progress",
) -> "Report":
    from asynctasq.testing.conformance.runner import run_conformance, select_checks

    try:
        checks = select_checks(driver.capabilities, durable=durable, only=only or None)
    except ValueError as error:
        raise click.UsageError(f"--only: {error}.") from None
    watch.total = len(checks)
    try:
        await driver.open()  # where there is no store, once is enough to say so
    finally:
        await driver.close()
    try:
        return await run_conformance(
            driver.clone,
            durable=durable,
            only=only or None,
            timeout=timeout,
            one_namespace=True,
            on_result=watch.told,
        )
    finally:
        watch.end()


class _Progress:
    """A line on a terminal that says how far it is."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._done = 0
        self.total = 0

    def told(self, result: "CheckResult") -> None:
        self._done += 1
        self._write(f"{self._done} of {self.total}  {result.check.theme}.{result.check.name}")

    def end(self) -> None:
        self._write("")

    def _write(self, text: str) -> None:
        if self._shown:
            click.echo(f"\r\033[K{text[:78]}", nl=False, err=True)


# What people read.


def _text(driver: "Driver", report: "Report", seconds: float, *, durable: bool) -> str:
    lines = [driver.description, "", "Guarantees"]
    lines += _guarantees(report)
    lines += ["", "Capabilities", *_capabilities(driver.capabilities, report)]
    for result in report.failures:
        lines += ["", *_failure(result)]
    lines += ["", _summary(report, seconds, durable=durable)]
    if not report.tidy:
        lines.append("The driver cannot tell whether something was left in its namespace.")
    return "\n".join(lines)


def _guarantees(report: "Report") -> list[str]:
    from asynctasq.testing.conformance.meaning import GUARANTEES, OTHER_RULES

    lines = []
    for letter, meaning in GUARANTEES.items():
        own = [result for result in report.results if letter in result.check.proves]
        left_out = sum(letter in check.proves for check in report.skipped)
        lines.append(_line(f"{letter}. {meaning.title}", own, left_out))
    rest = [result for result in report.results if not result.check.proves]
    left_out = sum(not check.proves for check in report.skipped)
    lines.append(_line(f"   {OTHER_RULES.title}", rest, left_out))
    return lines


def _capabilities(capabilities: "Capability", report: "Report") -> list[str]:
    from asynctasq.testing.conformance.meaning import CAPABILITIES

    lines = []
    for flag, without in CAPABILITIES.items():
        if flag in capabilities:
            own = [result for result in report.results if flag in result.check.needs]
            lines.append(_line(str(flag.name), own, 0))
        else:
            left_out = sum(flag in check.needs for check in report.skipped)
            lines.append(f"  - {flag.name}: not claimed, {left_out} skipped; {without}")
    return lines


def _line(title: str, results: "Sequence[CheckResult]", left_out: int) -> str:
    failed = sum(not result.ok for result in results)
    skipped = f", {left_out} skipped" if left_out else ""
    if not results:
        return f"  - {title}: no check{skipped}"
    if failed:
        mark = click.style("✗", fg="red")
        return f"  {mark} {title}: {failed} of {len(results)} failed{skipped}"
    return f"  {click.style('✓', fg='green')} {title}: {len(results)} passed{skipped}"


def _failure(result: "CheckResult") -> list[str]:
    from asynctasq.testing.conformance.meaning import meanings_of

    check = result.check
    title = click.style(f"✗ {check.theme}.{check.name}", fg="red")
    what = (result.failure or "").rstrip().splitlines()
    return [
        f"{title} (guarantee {', '.join(check.proves)})" if check.proves else title,
        f"{INDENT}The rule: {check.summary.splitlines()[0]}",
        f"{INDENT}Found: {what[-1] if what else 'it passes, but is declared to fail'}",
        *(f"{INDENT}For users: {meaning.broken}" for meaning in meanings_of(check)),
        f"{INDENT}Again, alone: asynctasq drivers check URL --only {check.name}",
    ]


def _summary(report: "Report", seconds: float, *, durable: bool) -> str:
    failed = len(report.failures)
    parts = [f"{len(report.results) - failed} passed"]
    if failed:
        parts.append(click.style(f"{failed} failed", fg="red"))
    if report.skipped:
        lasting = 0 if durable else sum(check.durable for check in report.skipped)
        causes = [
            f"{count} {cause}"
            for count, cause in [
                (len(report.skipped) - lasting, "for want of a capability"),
                (lasting, "as its messages do not outlast it"),
            ]
            if count
        ]
        parts.append(f"{len(report.skipped)} skipped ({', '.join(causes)})")
    return f"{', '.join(parts)} in {seconds:.1f} s."


# What programs read.


def _document(driver: "Driver", report: "Report", seconds: float) -> Mapping[str, object]:
    from asynctasq.testing.conformance.meaning import flags_in

    return {
        "store": driver.description,
        "capabilities": [flag.name for flag in flags_in(driver.capabilities)],
        "ok": report.ok,
        "seconds": round(seconds, 3),
        "tidy": report.tidy,
        "checks": [
            *(
                {
                    **_about(result.check),
                    "outcome": "passed" if result.ok else "failed",
                    "failure": result.failure,
                    "seconds": round(result.seconds, 6),
                }
                for result in report.results
            ),
            *(
                {
                    **_about(check),
                    "outcome": "skipped",
                    "lacks": [flag.name for flag in flags_in(check.needs & ~driver.capabilities)],
                }
                for check in report.skipped
            ),
        ],
    }


def _about(check: "Check") -> Mapping[str, object]:
    return {
        "name": check.name,
        "theme": check.theme,
        "guarantees": list(check.proves),
        "rule": check.summary,
    }
