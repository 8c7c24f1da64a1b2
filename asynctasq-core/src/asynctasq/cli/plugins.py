"""`asynctasq plugins`: what is installed, whether it works, and a start for one's own."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from asynctasq.cli.environment import plugin_registry
from asynctasq.cli.exit_codes import told
from asynctasq.cli.operator_commands import OperatorGroup, wide_option
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
    """Show the installed plugins (drivers, serializers, executors, resolvers, hooks), or start a new one.

    Without a command they are listed.
    """


@command.command("list", epilog=told(failed="one is broken or in conflict (with --check)"))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, for programs.")
@click.option(
    "--check",
    is_flag=True,
    help="Import and test each; exit code 1 if one is broken or in conflict.",
)
@click.option("--kind", type=click.Choice(list(GROUPS)), help="Only plugins of one kind.")
@wide_option
def list_plugins(as_json: bool, check: bool, kind: str | None, wide: bool) -> None:
    """List plugins. Without --check none is imported: metadata is read only."""
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
    help="Where to make the folder asynctasq-NAME; the current folder if not given.",
)
@click.option(
    "--author",
    help="Whom pyproject.toml and the licence name; the name that git or the system knows if not given.",
)
def new_plugin(name: str, kind: str, folder: Path, author: str | None) -> None:
    """Write a project with a working plugin NAME, to be changed into your own.

    It installs, passes the tests of its kind and is ready to publish. Nothing is overwritten.
    """
    from asynctasq.cli.new_plugin import DESCRIPTIONS, PAGES, known_author, write_project

    named = author or known_author()
    project = write_project(name, folder, kind=kind, author=named)
    click.echo(f"{project} contains {DESCRIPTIONS[kind]}:\n")
    for path in sorted(each for each in project.rglob("*") if each.is_file()):
        click.echo(f"  {path.relative_to(project)}")
    click.echo(f"\nAuthor: {named}" + ("" if author else " (--author NAME sets another)"))
    click.echo(
        f"\nNext:\n"
        f"  cd {project}\n"
        f"  python -m venv .venv && .venv/bin/pip install -e '.[dev]'\n"
        f"  .venv/bin/pytest\n\n"
        f"Then change it, one method at a time. The page {PAGES[kind]!r} of the documentation explains "
        f"the code."
    )


def _print_table(found: Sequence[PluginInfo], *, checked: bool, wide: bool) -> None:
    from asynctasq.cli.tables import Cell, Column, print_table

    columns = [
        Column("Kind", rank=1),
        Column("Name", fold_at=16),
        Column("Distribution", rank=3, fold_at=16),
        Column("Version", rank=4),
        Column("State"),
        *([Column("API", rank=5), Column("Capabilities", rank=2, fold_at=20)] if checked else []),
    ]
    rows: list[list[str | Cell]] = [
        [
            info.kind,
            info.name,
            info.distribution or "-",
            info.version or "-",
            Cell(info.state, STYLES[info.state]),
            *([_api(info), ", ".join(info.capabilities or ()).lower()] if checked else []),
        ]
        for info in found
    ]
    if found:
        print_table(columns, rows, wide=wide)
    else:
        click.echo("No plugins.")
    for error in dict.fromkeys(info.error for info in found if info.error):
        click.echo(error)


def _api(info: PluginInfo) -> str:
    return "" if info.api_version is None else str(info.api_version)
