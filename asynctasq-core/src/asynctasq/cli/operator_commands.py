"""What the commands of operators have in common: the way to a store, questions, output, ends."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

from asynctasq.cli.app_option import one_app
from asynctasq.cli.commands import fail_for_unknown
from asynctasq.cli.exit_codes import ExitCode
from asynctasq.errors import DriverUnavailable

if TYPE_CHECKING:
    from asynctasq.app import App

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class OperatorCommand(click.Command):
    """A command that ends quietly when it is interrupted, or when nobody reads on."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(ExitCode.INTERRUPTED)
        except BrokenPipeError:
            # Python flushes stdout once more at its end, and would complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(ExitCode.PIPE_CLOSED)
        return answer


class OperatorGroup(click.Group):
    """A group whose command `list` runs if none is named.

    Options of the store may stand before the command, too: `queues --driver URL pause emails`.
    """

    command_class = OperatorCommand
    _WITH_VALUE = ("--driver", "--app")
    _FLAGS = ("--json",)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command first."""
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
        """Find a command, or say which one was probably meant."""
        if args[0] not in self.commands and not ctx.resilient_parsing:
            takes_names = any(
                isinstance(each, click.Argument) for each in self.commands["list"].params
            )
            fail_for_unknown(
                ctx,
                args[0],
                self.commands,
                hint=f"To list it: {ctx.command_path} list {args[0]}" if takes_names else "",
            )
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Commands, and the options of `list`."""
        found = super().shell_complete(ctx, incomplete)
        if incomplete.startswith("-"):
            with click.Context(self.commands["list"], info_name="list", parent=ctx) as inner:
                found += self.commands["list"].shell_complete(inner, incomplete)
        return found

    def _leading(self, args: Sequence[str]) -> int:
        """How many arguments before the command are options of the store."""
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


def complete_driver(_: click.Context, _option: click.Parameter, incomplete: str) -> list[str]:
    """Names of installed drivers, for shells."""
    from asynctasq.cli.environment import plugin_registry
    from asynctasq.errors import AsynctasqError

    try:
        return [name for name in plugin_registry().names("driver") if name.startswith(incomplete)]
    except AsynctasqError:  # a wrong `disable_plugins`
        return []


app_option = click.option(
    "--app",
    "target",
    multiple=True,
    callback=one_app,
    metavar="MODULE[:APP]",
    help="Import this module first; use the store of its APP, or of its asynctasq.init(...).",
)
driver_option = click.option(
    "--driver",
    metavar="NAME|URL",
    shell_complete=complete_driver,
    help="The store, instead of the one in the settings.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document, for programs."
)


def store_options(command: F) -> F:
    """Options that say which store is meant, and `--json`."""
    return app_option(driver_option(json_option(command)))


wide_option = click.option(
    "--wide", is_flag=True, help="Print full IDs and texts, however long the lines get."
)
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


class Store:
    """The app on whose store a command acts, and a loop on which its calls run one after the other.

    Between two calls a question can be asked, which Ctrl-C ends at once. During one, Ctrl-C cancels
    it, and `KeyboardInterrupt` is raised when it has ended.
    """

    def __init__(self, target: str | None, driver: str | None) -> None:
        """Find the app.

        Args:
            target: `MODULE[:APP]`, or None for what the settings say.
            driver: name or URL, or None for that of the app.

        Raises:
            AsynctasqError: a setting is wrong, or the module cannot be imported.
            DriverUnavailable: the store would be a file, and there is none.
        """
        self.app = find_app(target, driver)
        self.name = self.app.store
        require_store(self.app)
        if self.app.settings.driver_name == "memory":
            click.echo(
                "Warning: the memory driver lives within one program: this one sees nothing of what "
                "others hold. Name another store with --driver.",
                err=True,
            )
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._runner.__enter__()
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

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a call to its end."""
        return self._runner.run(call)


def require_store(app: "App") -> None:
    """Make sure that to look is not to create.

    Raises:
        DriverUnavailable: the store would be a file, and there is none.
    """
    if _is_missing_file(app.store):
        raise DriverUnavailable(
            f"There is no store at {app.store}. Nothing was dispatched there so far, or another one is "
            f"meant: name it with --driver URL or --app MODULE."
        )


def _is_missing_file(description: str) -> bool:
    """Whether a driver describes its store as a path, maybe with a namespace, where there is nothing."""
    paths = [Path(description), Path(re.sub(r" \([^()]*\)$", "", description))]
    return paths[0].is_absolute() and not any(path.exists() for path in paths)


def find_app(target: str | None, driver: str | None) -> "App":
    """The app of `--app` and `--driver`, not open; nothing was done to its store.

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
        app = App({"driver": driver})  # the application's modules have nothing to add
    else:
        app = load_application(target)
        app.close_sync()  # a module may have dispatched something while it was imported
        if driver is not None:
            app._override({"driver": driver})
    context = click.get_current_context(silent=True)
    if context is not None:  # arguments are decoded, and tasks found, as in a worker
        context.with_resource(import_rule(permitted_imports(app, target)))
    return app


def confirm(act: str, *, yes: bool) -> None:
    """Ask whether to do it.

    Raises:
        click.UsageError: nobody can be asked.
        click.Abort: the answer is no.
        KeyboardInterrupt: the answer is Ctrl-C.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"{act}: nobody can be asked here. --yes does it without a question."
        )
    try:
        click.confirm(f"{act}?", abort=True, err=True)
    except click.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # click takes it for a no
            raise KeyboardInterrupt from error
        raise


def print_json(document: object) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(document, indent=2))


def count_of(number: int, what: str) -> str:
    """`1 task`, `1,200 tasks`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def complete_queue(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Names of queues, for shells; none if the store does not answer within a second."""
    from asynctasq.errors import AsynctasqError

    try:
        with Store(ctx.params.get("target"), ctx.params.get("driver")) as store:
            found = store.run(asyncio.wait_for(store.app.queues.all(), timeout=1.0))
    except (AsynctasqError, TimeoutError):
        return []
    return [queue.name for queue in found if queue.name.startswith(incomplete)]
