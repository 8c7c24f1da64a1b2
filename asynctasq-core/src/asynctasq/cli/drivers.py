"""`asynctasq drivers`: run the conformance suite against a store."""

import asyncio
import json
import re
import shlex
import shutil
import sys
import textwrap
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from asynctasq.cli.checked_driver import driver_to_check
from asynctasq.cli.exit_codes import ExitCode, exit_code_help
from asynctasq.cli.operator_commands import OperatorCommand
from asynctasq.cli.options import complete_driver
from asynctasq.conformance.theme_names import THEME_NAMES

if TYPE_CHECKING:
    from asynctasq.conformance.check import Check
    from asynctasq.conformance.runner import CheckResult, Report
    from asynctasq.contracts.capabilities import Capability
    from asynctasq.contracts.driver import Driver

INDENT = 14
WIDTH = 100


@click.group()
def command() -> None:
    """Check drivers."""


@command.command(
    "check",
    cls=OperatorCommand,
    epilog=exit_code_help(ExitCode.UNAVAILABLE, done="all checks passed", failed="a check failed"),
)
@click.argument("driver", metavar="URL", shell_complete=complete_driver)
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    shell_complete=lambda *given: [theme for theme in THEME_NAMES if theme.startswith(given[-1])],
    help=f"Run only this check or theme; may be repeated. Themes: {', '.join(THEME_NAMES)}.",
)
@click.option(
    "--durable/--not-durable",
    default=None,
    help="Say whether messages outlive the last open driver instance.  [default: durable, except memory]",
)
@click.option(
    "--crowded",
    is_flag=True,
    help="Run each check beside other messages, in the same namespace and in another one, as in a store "
    "in use. Takes twice as long.",
)
@click.option(
    "--state", metavar="URL", help="Compose a queue with this state store, and check both together."
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=30.0,
    help="Time limit for each check, in seconds.",
)
@click.option("--yes", "-y", is_flag=True, help="Run even if the driver has no namespaces.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(
    driver: str,
    state: str | None,
    only: tuple[str, ...],
    durable: bool | None,
    crowded: bool,
    timeout: float,
    yes: bool,
    as_json: bool,
) -> None:
    """Run the conformance suite against the store at URL (or the driver of that name).

    The suite uses a new namespace with a random name and deletes its messages and queues afterwards, so
    you can check a store in use: it only sees some load. On SQS, this needs the right sqs:DeleteQueue. The
    queues for delays on RabbitMQ, which all namespaces share, remain.
    """
    from asynctasq.contracts.capabilities import check_capabilities

    made = driver_to_check(driver, state, yes=yes, crowded=crowded)
    neighbour = driver_to_check(driver, state, yes=yes, crowded=crowded) if crowded else None
    check_capabilities(made, made.capabilities)
    if durable is None:
        durable = driver.partition("://")[0] != "memory"
    progress = _Progress(sys.stderr.isatty() and not as_json)
    started = time.perf_counter()
    report = asyncio.run(_run(made, neighbour, durable, only, timeout, progress))
    seconds = time.perf_counter() - started
    again = command_without_only(click.get_current_context())
    if as_json:
        click.echo(json.dumps(_document(made, report, seconds), indent=2))
    else:
        click.echo(_text(made, report, seconds, again, durable=durable))
    if not report.ok:
        sys.exit(ExitCode.FAILED)


async def _run(
    driver: "Driver",
    neighbour: "Driver | None",
    durable: bool,
    only: Sequence[str],
    timeout: float,
    progress: "_Progress",
) -> "Report":
    from asynctasq.conformance.runner import run_conformance, select_checks

    try:
        checks = select_checks(
            driver.capabilities,
            durable=durable,
            only=only or None,
            clock_is_movable=driver.clock_is_movable,
        )
    except ValueError as error:
        raise click.UsageError(f"--only: {error}. Themes: {', '.join(THEME_NAMES)}.") from None
    progress.total = len(checks)
    try:
        await driver.open()  # an unavailable store fails once, not in every check
    finally:
        await driver.close()
    try:
        return await run_conformance(
            driver.clone,
            durable=durable,
            only=only or None,
            timeout=timeout,
            one_namespace=True,
            make_neighbour=None if neighbour is None else neighbour.clone,
            on_result=progress.count,
        )
    finally:
        progress.clear()


class _Progress:
    """A progress line on a terminal."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._done = 0
        self.total = 0

    def count(self, result: "CheckResult") -> None:
        self._done += 1
        self._write(f"{self._done} of {self.total}  {result.check.theme}.{result.check.name}")

    def clear(self) -> None:
        self._write("")

    def _write(self, text: str) -> None:
        if self._shown:
            click.echo(f"\r\033[K{text[:78]}", nl=False, err=True)


# Text output.


def command_without_only(ctx: click.Context) -> str:
    """Return the command line of this run, without `--only` and without a password."""
    from asynctasq.config import mask_url

    url = ctx.params["driver"]
    words = ["asynctasq", "drivers", "check", shlex.quote(url)]
    if mask_url(url) != url:
        words[-1] = '"$URL"'
    for parameter in ctx.command.params:
        name, value = parameter.name or "", ctx.params.get(parameter.name or "")
        given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if not given or name in {"driver", "only", "as_json"}:
            continue
        if isinstance(value, bool):
            opts = parameter.opts if value else parameter.secondary_opts
            words.append(opts[0])
        else:
            text = str(value)
            words += [parameter.opts[0], text if mask_url(text) == text else '"$STATE"']
    return " ".join(words)


def _text(driver: "Driver", report: "Report", seconds: float, again: str, *, durable: bool) -> str:
    lines = [driver.description, "", "Guarantees"]
    lines += _guarantees(report)
    lines += ["", "Capabilities", *_capabilities(driver.capabilities, report)]
    lines += _known_failures(report)
    shown: set[int] = set()
    for result in report.failures:
        lines += ["", *_failure(result, again, shown)]
    if report.failures and '"$URL"' in again:
        lines += ["", "$URL is the URL of this run, which contains a password."]
    lines += ["", _summary(report, seconds, durable=durable)]
    if not report.tidy:
        lines.append(
            "Messages or queues of the checks may be left: the driver could not delete them, or cannot count "
            f"them. Their names contain the namespace in {driver.description}."
        )
    return "\n".join(lines)


def _guarantees(report: "Report") -> list[str]:
    from asynctasq.conformance.impact import GUARANTEES, OTHER_RULES

    lines = []
    for letter, meaning in GUARANTEES.items():
        own = [result for result in report.results if letter in result.check.proves]
        left_out = sum(letter in check.proves for check in report.skipped)
        lines.append(_line(f"{letter}. {meaning.title}", own, left_out))
    rest = [result for result in report.results if not result.check.proves]
    left_out = sum(not check.proves for check in report.skipped)
    lines.append(_line(f"   {OTHER_RULES}", rest, left_out))
    return lines


def _capabilities(capabilities: "Capability", report: "Report") -> list[str]:
    from asynctasq.conformance.impact import CAPABILITIES

    lines = []
    for flag, without in CAPABILITIES.items():
        if flag in capabilities:
            own = [result for result in report.results if flag in result.check.needs]
            lines.append(_line(str(flag.name), own, 0))
        else:
            left_out = sum(flag in check.needs for check in report.skipped)
            lines.append(f"  - {flag.name}: not supported, {left_out} skipped; {without}")
    return lines


def _known_failures(report: "Report") -> list[str]:
    """List the checks that fail as the driver declares, with its reasons."""
    known = [each for each in report.results if each.known is not None and each.ok]
    if not known:
        return []
    return [
        "",
        "Known failures",
        *(f"  - {each.check.theme}.{each.check.name}: {each.known}" for each in known),
    ]


def _line(title: str, results: "Sequence[CheckResult]", left_out: int) -> str:
    failed = sum(not result.ok for result in results)
    skipped = f", {left_out} skipped" if left_out else ""
    if not results:
        return f"  - {title}: no check{skipped}"
    if failed:
        mark = click.style("✗", fg="red")
        return f"  {mark} {title}: {failed} of {len(results)} failed{skipped}"
    return f"  {click.style('✓', fg='green')} {title}: {len(results)} passed{skipped}"


def _failure(result: "CheckResult", again: str, shown: set[int]) -> list[str]:
    """Describe a failed check; the text of each rule appears only once."""
    from asynctasq.conformance.impact import meanings_of
    from asynctasq.conformance.rules import RULES

    check = result.check
    title = click.style(f"✗ {check.theme}.{check.name}", fg="red")
    lines = [f"{title} ({check.breaks})"]
    lines += _item("Checked", check.sentence)
    lines += _item("Found", found_in(result))
    for number in check.rules:
        text = "see above." if number in shown else re.sub(r"[`*]", "", RULES[number])
        lines += _item(f"Rule {number}", text)
        shown.add(number)
    for meaning in meanings_of(check):
        lines += _item("For users", meaning)
    lines.append(f"  {'Run again':{INDENT - 2}}  {again} --only {check.name}")
    return lines


def _item(name: str, text: str) -> list[str]:
    """Format a name with a wrapped text beside it."""
    width = min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH)
    wrapped = textwrap.wrap(text, max(width - INDENT - 2, 30), break_on_hyphens=False)
    return [
        f"  {name if not place else '':{INDENT - 2}}  {line}" for place, line in enumerate(wrapped)
    ]


def found_in(result: "CheckResult") -> str:
    """Describe the driver's mistake and its place in a sentence."""
    error = result.error
    if error is None:
        return f"the check passed, but is declared to fail: {result.known}"
    if isinstance(error, AssertionError):
        return f"{error}."
    if isinstance(error, TimeoutError):
        return f"the check did not finish within its time limit ({result.seconds:.0f} s)."
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    where = f" ({Path(last.filename).name}, line {last.lineno}, in {last.name})" if last else ""
    return f"the driver raised {type(error).__name__}: {error}{where}"


def _summary(report: "Report", seconds: float, *, durable: bool) -> str:
    failed = len(report.failures)
    known = sum(result.known is not None and result.ok for result in report.results)
    parts = [f"{len(report.results) - failed - known} passed"]
    if known:
        parts.append(f"{known} failed as the driver declares")
    if failed:
        parts.append(click.style(f"{failed} failed", fg="red"))
    if report.skipped:
        lasting = 0 if durable else sum(check.durable for check in report.skipped)
        causes = [
            f"{count} {cause}"
            for count, cause in [
                (len(report.skipped) - lasting, "capability not supported"),
                (lasting, "messages are not durable"),
            ]
            if count
        ]
        parts.append(f"{len(report.skipped)} skipped ({', '.join(causes)})")
    return f"{', '.join(parts)} in {seconds:.1f} s."


# JSON output.


def _document(driver: "Driver", report: "Report", seconds: float) -> Mapping[str, object]:
    from asynctasq.conformance.impact import flags_in

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
                    "outcome": _outcome(result),
                    "known": result.known,
                    "found": None if result.ok else found_in(result),
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


def _outcome(result: "CheckResult") -> str:
    if not result.ok:
        return "failed"
    return "passed" if result.known is None else "known failure"


def _about(check: "Check") -> Mapping[str, object]:
    return {
        "name": check.name,
        "theme": check.theme,
        "guarantees": list(check.proves),
        "rules": list(check.rules),
        "rule": check.sentence,
    }
