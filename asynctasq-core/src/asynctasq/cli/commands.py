"""The command group: built-in commands by import path, and commands of plugins."""

import importlib
import sys
import traceback
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn

import click

from asynctasq.cli.exit_codes import exit_code_of
from asynctasq.cli.hints import command_hint, with_hint
from asynctasq.errors import AsynctasqError, PluginBroken, PluginError

if TYPE_CHECKING:
    from asynctasq.plugins import Plugin


class Commands(click.Group):
    """A group that imports a command when it runs, and plugins only for other commands.

    `built_in` maps names to the location (`module:attribute`) and a short description of a command.
    An `AsynctasqError` is printed as one message and exits with its code of `exit_codes`; with
    `--debug` it is printed with its traceback.
    """

    def __init__(self, *args: Any, built_in: Mapping[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self.built_in = built_in

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the built-in commands in order, then commands of plugins by name."""
        return [*self.built_in, *sorted(_of_plugins(ctx, self.built_in))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in self.built_in:
            return _of_plugins(ctx, self.built_in).get(cmd_name)
        module, _, attribute = self.built_in[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing the built-in ones."""
        of_plugins = _of_plugins(ctx, self.built_in)
        shown = {name: about for name, (_, about) in self.built_in.items()}
        shown |= {
            name: of_plugins[name].get_short_help_str(formatter.width)
            for name in sorted(of_plugins)
            if not of_plugins[name].hidden
        }
        with formatter.section("Commands"):
            formatter.write_dl(list(shown.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or fail with a suggestion."""
        name = args[0]
        if (
            not name.startswith("-")
            and not ctx.resilient_parsing
            and not self.get_command(ctx, name)
        ):
            hint = command_hint(name)
            fail_for_unknown(ctx, name, () if hint else self.list_commands(ctx), hint=hint)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options before the command."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise with_hint(error) from error.__cause__

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise with_hint(error) from error.__cause__
        except AsynctasqError as error:
            if ctx.params.get("debug"):
                sys.excepthook = _print_traceback
                raise
            click.ClickException(str(error) or type(error).__name__).show()
            ctx.exit(exit_code_of(error))


def _print_traceback(_: type[BaseException], error: BaseException, __: object) -> None:
    """Print where the application failed, without the frames of core that lead there."""
    from asynctasq.logs.text import exception_text

    click.echo(exception_text(error), err=True)


def fail_for_unknown(
    ctx: click.Context, name: str, known: Iterable[str], *, hint: str = ""
) -> NoReturn:
    """Raise a usage error that suggests the most similar command, or gives a hint if there is none."""
    near = get_close_matches(name, known, n=1)
    more = f" Did you mean {near[0]!r}?" if near else f" {hint}".rstrip()
    ctx.fail(f"No such command {name!r}.{more}")


def _of_plugins(ctx: click.Context, reserved: Mapping[str, object]) -> Mapping[str, click.Command]:
    """Return the commands of plugins, collected once per run."""
    key = f"{__name__}.of_plugins"
    if key not in ctx.meta:
        ctx.meta[key] = _collect(ctx, reserved)
    found: Mapping[str, click.Command] = ctx.meta[key]
    return found


def _collect(ctx: click.Context, reserved: Mapping[str, object]) -> Mapping[str, click.Command]:
    """Collect the commands of every plugin of the kind `hook`. A broken plugin loses only its own."""
    from asynctasq.cli.environment import plugin_registry

    found: dict[str, click.Command] = {}
    try:
        registry = plugin_registry()
    except AsynctasqError as error:  # a wrong `disable_plugins`
        _warn(ctx, f"commands of plugins are unavailable: {error}", error)
        return found
    for name in registry.names("hook"):
        try:
            plugin = registry.plugin("hook", name)
            commands = _registered_by(plugin)
        except PluginError as error:
            _warn(ctx, str(error), error)
            continue
        for command_name, command in commands.items():
            if command_name in reserved or command_name in found:
                _warn(
                    ctx,
                    f"The {plugin.entry.label} adds a command {command_name!r}, which already exists; "
                    "it is ignored.",
                )
            else:
                found[command_name] = command
    return found


def _registered_by(plugin: "Plugin") -> Mapping[str, click.Command]:
    """Return the commands of one plugin, collected in a separate group so that none is replaced."""
    group = click.Group()
    for implementation in plugin.implementations("register_commands"):
        try:
            implementation.function(*[group][: len(implementation.argnames)])
        except Exception as error:
            raise PluginBroken(
                f"The {plugin.entry.label} is broken: register_commands raised "
                f"{type(error).__qualname__}: {error}"
            ) from error
    return group.commands


def _warn(ctx: click.Context, text: str, error: Exception | None = None) -> None:
    click.echo(f"Warning: {text}", err=True)
    if error is not None and ctx.params.get("debug"):
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
