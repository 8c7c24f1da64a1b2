"""`asynctasq plugins`: list and check the installed plugins, and create a new one."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from asynctasq.cli.environment import plugin_registry
from asynctasq.cli.exit_codes import exit_code_help
from asynctasq.cli.operator_commands import OperatorGroup
from asynctasq.cli.options import wide_option
from asynctasq.hookspecs import GROUPS
from asynctasq.plugins import PluginInfo, PluginState

STYLES = {
    PluginState.AVAILABLE: "green",
    PluginState.LOCAL: "green",
    PluginState.DISABLED: "dim",
    PluginState.NOT_INSTALLED: "dim",
    PluginState.CONFLICT: "red",
    PluginState.BROKEN: "red",
}


@click.group(cls=OperatorGroup)
def command() -> None:
    """List the installed plugins (drivers, serializers, executors, resolvers, hooks), or create one.

    Without a command, `list` runs.
    """


@command.command(
    "list", epilog=exit_code_help(failed="a plugin is broken or in conflict (with --check)")
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, for programs.")
@click.option(
    "--check",
    is_flag=True,
    help="Import and test each plugin; exit with 1 if one is broken or in conflict.",
)
@click.option("--kind", type=click.Choice(list(GROUPS)), help="List plugins of this kind only.")
@wide_option
def list_plugins(as_json: bool, check: bool, kind: str | None, wide: bool) -> None:
    """List the plugins. Without --check, only their metadata is read, and none is imported.

    With --check, the table shows the number of capabilities of each driver. --wide and --json name them.
    """
    registry = plugin_registry()
    found = registry.check(kind) if check else registry.available(kind)
    if as_json:
        click.echo(json.dumps([asdict(info) for info in found], indent=2))
    else:
        _print_table(found, checked=check, wide=wide)
    failed = any(info.state in {PluginState.BROKEN, PluginState.CONFLICT} for info in found)
    if check and failed:
        sys.exit(1)


@command.command("new")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["driver", "serializer", "resolver", "executor", "hooks"]),
    default="driver",
    show_default=True,
    help="Kind of plugin.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Create the folder asynctasq-NAME here.  [default: the current folder]",
)
@click.option(
    "--author",
    help="Author in pyproject.toml and in the license.  [default: your name in git or the system]",
)
def new_plugin(name: str, kind: str, folder: Path, author: str | None) -> None:
    """Create a project with a working plugin called NAME, to be adapted to your needs.

    The project can be installed and published, and its plugin passes the tests of its kind. Existing
    files are not overwritten.
    """
    from asynctasq.cli.new_plugin import DESCRIPTIONS, PAGES, known_author, write_project

    named = author or known_author()
    project = write_project(name, folder, kind=kind, author=named)
    click.echo(f"Created {project} with {DESCRIPTIONS[kind]}:\n")
    for path in sorted(each for each in project.rglob("*") if each.is_file()):
        click.echo(f"  {path.relative_to(project)}")
    click.echo(f"\nAuthor: {named}" + ("" if author else " (--author NAME sets another)"))
    click.echo(
        f"\nNext:\n"
        f"  cd {project}\n"
        f"  python -m venv .venv && .venv/bin/pip install -e '.[dev]'\n"
        f"  .venv/bin/pytest\n\n"
        f"Then adapt it, one method at a time. The page {PAGES[kind]!r} of the documentation explains "
        f"the code."
    )


def _print_table(found: Sequence[PluginInfo], *, checked: bool, wide: bool) -> None:
    from asynctasq.cli.tables import Cell, Column, print_table

    columns: list[Column[PluginInfo]] = [
        Column("Kind", lambda info: info.kind, rank=1),
        Column("Name", lambda info: info.name, fold_at=16),
        Column("Distribution", lambda info: info.distribution or "-", rank=3, fold_at=16),
        Column("Version", lambda info: info.version or "-", rank=4),
        Column("State", lambda info: Cell(info.state, STYLES[info.state])),
    ]
    if checked:
        columns += [
            Column("API", _api, rank=5),
            Column("Capabilities", partial(_capabilities, named=wide), rank=2, right=not wide),
        ]
    if found:
        print_table(columns, found, wide=wide)
    else:
        click.echo("No plugins.")
    for error in dict.fromkeys(info.error for info in found if info.error):
        click.echo(error)


def _api(info: PluginInfo) -> str:
    return "" if info.api_version is None else str(info.api_version)


def _capabilities(info: PluginInfo, *, named: bool) -> str:
    """Return the names of capabilities, which make a line very long, or their number."""
    if info.capabilities is None:
        return ""
    return ", ".join(info.capabilities).lower() if named else str(len(info.capabilities))
