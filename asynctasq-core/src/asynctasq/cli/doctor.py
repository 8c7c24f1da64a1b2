"""`asynctasq doctor`: check whether everything that an application needs is there."""

import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from asynctasq import __version__
from asynctasq.cli.exit_codes import ExitCode, exit_code_help
from asynctasq.cli.operator_commands import AppSession, OperatorCommand, find_app, require_store
from asynctasq.cli.options import print_json, store_options
from asynctasq.errors import AsynctasqError

if TYPE_CHECKING:
    from asynctasq.app import App
    from asynctasq.config import GivenSetting
    from asynctasq.contracts.driver import Driver
    from asynctasq.operations.diagnosis import Finding, Subject

STYLES = {"ok": "green", "warning": "yellow", "problem": "red", "not checked": "bright_black"}
STATUS_WIDTH = len("not checked")
CHECK_WIDTH = len("dead-letters")


@click.command(
    cls=OperatorCommand,
    epilog=exit_code_help(
        ExitCode.UNAVAILABLE, done="no problem, maybe warnings", failed="a problem"
    ),
)
@store_options
def command(target: str | None, driver: str | None, as_json: bool) -> None:
    """Check settings, plugins, the store, its workers, queues and schedules.

    A warning is something to look at. A problem keeps tasks from running. The checks change nothing,
    except that a file of the sqlite driver is migrated when it is opened, as by every command.
    """
    from asynctasq.operations.diagnosis import unusable

    try:
        app = find_app(target, driver)
    except AsynctasqError as error:
        _report("", [], unusable(error), as_json=as_json)
        return
    given = app.settings.given()
    with AppSession(app, "") as session:
        subject = _subject(app, has_tasks=target is not None or bool(app.settings.imports))
        findings = session.run(_findings(subject))
    _report(app.store, given, findings, as_json=as_json)


def _subject(app: "App", *, has_tasks: bool) -> "Subject":
    from asynctasq.app import stores_of
    from asynctasq.cli.known_queues import declared_queues
    from asynctasq.cli.migrate import unopened_drivers
    from asynctasq.operations.diagnosis import Subject

    async def connect() -> "Driver":
        require_store(app.store)
        return await app.driver()

    return Subject(
        settings=app.settings,
        plugins=app.plugins,
        place=app.store,
        connect=connect,
        stores=unopened_drivers(app),
        queues=declared_queues(app),
        has_tasks=has_tasks,
        outbox=stores_of(app).outbox,
    )


async def _findings(subject: "Subject") -> "list[Finding]":
    from asynctasq.operations.diagnosis import diagnose

    return [finding async for finding in diagnose(subject)]


def _report(
    store: str, given: "Sequence[GivenSetting]", findings: "Sequence[Finding]", *, as_json: bool
) -> None:
    code = _exit_code(findings)
    if as_json:
        print_json(_document(store, given, findings))
    else:
        _print_text(store, given, findings)
    if code is not ExitCode.DONE:
        sys.exit(code)


def _exit_code(findings: "Sequence[Finding]") -> ExitCode:
    problems = [each.check for each in findings if each.status == "problem"]
    if "store" in problems:
        return ExitCode.UNAVAILABLE
    return ExitCode.FAILED if problems else ExitCode.DONE


def _document(
    store: str, given: "Sequence[GivenSetting]", findings: "Sequence[Finding]"
) -> dict[str, Any]:
    return {
        "ok": _exit_code(findings) is ExitCode.DONE,
        "asynctasq": __version__,
        "python": platform.python_version(),
        "store": store,
        "settings": [asdict(each) for each in given],
        "checks": [asdict(each) for each in findings],
    }


def _print_text(store: str, given: "Sequence[GivenSetting]", findings: "Sequence[Finding]") -> None:
    from asynctasq.cli.tables import printable

    click.echo(f"asynctasq {__version__}, Python {platform.python_version()}")
    if store:
        click.echo(f"Store: {store}")
    indent = " " * (STATUS_WIDTH + CHECK_WIDTH + 4)
    for each in findings:
        status = click.style(f"{each.status.value:<{STATUS_WIDTH}}", fg=STYLES[each.status.value])
        text = printable(each.text).replace("\n", f"\n{indent}")
        click.echo(f"{status}  {each.check:<{CHECK_WIDTH}}  {text}")
        if each.remedy:
            click.echo(f"{indent}{printable(each.remedy)}")
        if each.check == "settings":
            for setting in given:
                click.echo(
                    f"{indent}{setting.name} = {printable(setting.value)}  ({_source(setting)})"
                )
            given = ()
    click.echo(_summary(findings))


def _source(setting: "GivenSetting") -> str:
    return setting.place if setting.key == setting.name else f"{setting.key}, {setting.place}"


def _summary(findings: "Sequence[Finding]") -> str:
    counts = {
        word: sum(each.status == word for each in findings) for word in ("problem", "warning")
    }
    parts = [
        f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items() if count
    ]
    return f"{', '.join(parts) or 'All is well'}."
