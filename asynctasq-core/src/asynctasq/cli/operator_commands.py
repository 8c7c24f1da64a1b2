"""Shared parts of the commands for operators: stores, confirmation, output and interruption."""

import asyncio
import os
import re
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

from asynctasq.cli.commands import fail_for_unknown
from asynctasq.cli.exit_codes import ExitCode
from asynctasq.errors import DriverUnavailable

if TYPE_CHECKING:
    from asynctasq.app import App

T = TypeVar("T")


class OperatorCommand(click.Command):
    """A command that exits quietly on Ctrl-C and when the reader of its output closes the pipe."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(ExitCode.INTERRUPTED)
        except BrokenPipeError:
            # Python flushes stdout again on exit, which would print an error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(ExitCode.PIPE_CLOSED)
        return answer


class OperatorGroup(click.Group):
    """A group whose command `list` runs if no command is given.

    Options for the store may also precede the command: `queues --driver URL pause emails`.
    """

    command_class = OperatorCommand
    _WITH_VALUE = ("--driver", "--app", "--outbox")
    _FLAGS = ("--json",)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move the command to the front."""
        leading = self._leading(args)
        rest = args[leading:]
        if rest and not rest[0].startswith("-"):
            args = [rest[0], *args[:leading], *rest[1:]]
        elif not (rest and rest[0] in ctx.help_option_names) and (
            args or not ctx.resilient_parsing
        ):
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or fail with a suggestion."""
        if args[0] not in self.commands and not ctx.resilient_parsing:
            takes_names = any(
                isinstance(each, click.Argument) for each in self.commands["list"].params
            )
            fail_for_unknown(
                ctx,
                args[0],
                self.commands,
                hint=f"To list this one: {ctx.command_path} list {args[0]}" if takes_names else "",
            )
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete commands and the options of `list`."""
        found = super().shell_complete(ctx, incomplete)
        if incomplete.startswith("-"):
            with click.Context(self.commands["list"], info_name="list", parent=ctx) as inner:
                found += self.commands["list"].shell_complete(inner, incomplete)
        return found

    def _leading(self, args: Sequence[str]) -> int:
        """Count the leading arguments that are options for the store."""
        place = 0
        while place < len(args):
            name, _, value = args[place].partition("=")
            if name in self._WITH_VALUE:
                place += 1 if value else 2
            elif name in self._FLAGS:
                place += 1
            else:
                break
        return min(place, len(args))


class AppSession:
    """The app of a command, and an event loop that runs its calls one after the other.

    Between two calls, a command can ask for confirmation, and Ctrl-C aborts it at once. During a
    call, Ctrl-C cancels the call, and `KeyboardInterrupt` is raised after it has finished.
    """

    def __init__(self, app: "App", name: str, *, option: str = "--driver") -> None:
        """Keep the app.

        Args:
            app: not opened.
            name: the place of the store that the command is about.
            option: the option of the command that selects another store.

        Raises:
            DriverUnavailable: the file of the store does not exist.
        """
        require_store(name, option=option)
        self.app = app
        self.name = name
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        from asynctasq.operations.audit import acting_as

        self._acting = acting_as(where="cli")
        self._acting.__enter__()
        self._runner.__enter__()  # copies the context
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._runner.run(self.app.close())
        finally:
            self._runner.__exit__(kind, error, trace)
            self._acting.__exit__(None, None, None)

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a call and return its result."""
        return self._runner.run(call)


class Store(AppSession):
    """A session about the store of an app."""

    def __init__(self, target: str | None, driver: str | None) -> None:
        """Find the app.

        Args:
            target: `MODULE[:APP]`; None for the app of the settings.
            driver: name or URL; None for the driver of the app.

        Raises:
            AsynctasqError: a setting is wrong, or the module cannot be imported.
            DriverUnavailable: the file of the store does not exist.
        """
        app = find_app(target, driver)
        super().__init__(app, app.store)
        if app.settings.driver_name == "memory":
            click.echo(
                "Warning: the memory driver keeps messages within one process, so this command cannot "
                "see those of other processes. Pass --driver to use another store.",
                err=True,
            )


def require_store(place: str, *, option: str = "--driver") -> None:
    """Check that a store in a file exists, so that reading it does not create it.

    Raises:
        DriverUnavailable: the file does not exist.
    """
    if _is_missing_file(place):
        raise DriverUnavailable(
            f"There is no store at {place}. Either nothing has been dispatched yet, or you meant a "
            f"different store: pass {option} URL or --app MODULE."
        )


def _is_missing_file(description: str) -> bool:
    """Check whether a description of a store is the path of a missing file, maybe with a namespace."""
    paths = [Path(description), Path(re.sub(r" \([^()]*\)$", "", description))]
    return paths[0].is_absolute() and not any(path.exists() for path in paths)


def find_app(target: str | None, driver: str | None) -> "App":
    """Return the unopened app of `--app` and `--driver`.

    Raises:
        AsynctasqError: a setting is wrong, or the module cannot be imported.
    """
    from asynctasq.app import App
    from asynctasq.cli.application import (
        load_application,
        permitted_imports,
        search_current_folder,
    )
    from asynctasq.import_rules import import_rule

    if target is None and driver is not None:
        search_current_folder()
        app = App({"driver": driver})  # no module of the application is needed
    else:
        app = load_application(target)
        app.close_sync()  # a module may have dispatched something while it was imported
        if driver is not None:
            app._override({"driver": driver})
    context = click.get_current_context(silent=True)
    if context is not None:  # arguments are decoded, and tasks found, as in a worker
        context.with_resource(import_rule(permitted_imports(app, target)))
    return app


def confirm(action: str, *, yes: bool) -> None:
    """Ask for confirmation of an action.

    Raises:
        click.UsageError: stdin is not a terminal.
        click.Abort: the answer is no.
        KeyboardInterrupt: the answer is Ctrl-C.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"{action}? Cannot ask for confirmation: stdin is not a terminal. Pass --yes."
        )
    try:
        click.confirm(f"{action}?", abort=True, err=True)
    except click.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # click reports it as a no
            raise KeyboardInterrupt from error
        raise


def count_of(number: int, what: str) -> str:
    """Format a number with a noun, as in `1 task` and `1,200 tasks`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
