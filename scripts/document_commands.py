"""Write docs/reference/cli.md from the commands themselves."""

import inspect
import re
from collections.abc import Iterator

import click

from asynctasq.cli import main
from asynctasq.cli.commands import Commands
from asynctasq.cli.exit_codes import ExitCode
from scripts.markdown import docstring, made_by, prose, source, table

INTRODUCTION = """
# Command line

This page shows the output of `asynctasq --help`, which lists the commands, and of `asynctasq COMMAND --help`,
which lists the options of one. Plugins can add commands.

An error is one or two lines. To see the traceback as well, use `asynctasq --debug COMMAND`.
"""
EXIT_CODES = """
## Exit codes

Every command uses these exit codes:

"""
_DEFAULT = re.compile(r"\s*\[default: (?P<default>[^\]]*)\]")
_BOUNDS = re.compile(r"\s*\[(?:(?P<low>[\d.]+)<=)?x(?P<sign><=|>=|>)(?P<bound>[\d.]+)\]")


def render() -> str:
    parts = [made_by(__name__), INTRODUCTION, *_sections(main, ["asynctasq"]), EXIT_CODES]
    codes = source("asynctasq.cli.exit_codes")["ExitCode"].members
    rows = [[str(code.value), prose(docstring(codes[code.name]))] for code in ExitCode]
    return "".join([*parts, table(["code", "meaning"], rows)])


def commands_of(group: click.Group) -> dict[str, click.Command]:
    """Return the commands of a group, without hidden ones and those of plugins."""
    names = group.built_in if isinstance(group, Commands) else group.commands
    context = click.Context(group, info_name="asynctasq")
    found = {name: group.get_command(context, name) for name in names}
    return {name: each for name, each in found.items() if each is not None and not each.hidden}


def _sections(group: click.Group, path: list[str]) -> Iterator[str]:
    context = click.Context(group, info_name=" ".join(path))
    if len(path) == 1:
        yield "\n" + _options(group, context)
    for name, command in commands_of(group).items():
        full = [*path, name]
        level = "#" * (1 + len(path))
        yield f"\n{level} `{' '.join(full)}`\n\n{_about(command)}\n"
        inner = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from _sections(command, full)
        else:
            yield f"\n```text\n{' '.join(full)} {' '.join(command.collect_usage_pieces(inner))}\n```\n\n"
            yield _options(command, inner)
            if command.epilog:
                yield f"\n{prose(command.epilog)}\n"


def _about(command: click.Command) -> str:
    if not command.help:
        raise ValueError(f"the command {command.name} has no help: documents show it")
    text = inspect.cleandoc(command.help).partition("\f")[0]
    paragraphs = (part for part in text.split("\n\n"))
    return "\n\n".join(
        f"```text\n{part.removeprefix(chr(8)).strip(chr(10))}\n```"
        if part.startswith("\b")
        else prose(part)
        for part in paragraphs
    )


def _options(command: click.Command, context: click.Context) -> str:
    rows: list[list[str]] = []
    for each in command.get_params(context):
        record = each.get_help_record(context)
        if isinstance(each, click.Option) and (each.hidden or "--help" in each.opts):
            continue
        if isinstance(each, click.Option) and record is not None:
            if not each.help:
                raise ValueError(f"{command.name} {each.opts[0]} has no help: documents show it")
            names = record[0].replace("INTEGER RANGE", "N").replace("TEXT", each.name.upper())
            default = _DEFAULT.search(record[1])
            meaning = _BOUNDS.sub(_in_words, _DEFAULT.sub("", record[1]))
            if default is not None:
                meaning = f"{meaning} Default: {default['default']}."
            rows.append([f"`{names}`", prose(meaning)])
    return table(["option", "meaning"], rows) if rows else ""


def _in_words(bounds: re.Match[str]) -> str:
    if bounds["low"] is not None:
        return f" {bounds['low']} to {bounds['bound']}."
    return f" {'More than' if bounds['sign'] == '>' else 'At least'} {bounds['bound']}."
