"""`asynctasq publish`: write a file with every setting, to copy to `.env` and edit."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import MISSING
from pathlib import Path
from textwrap import wrap

import click

from asynctasq.cli.environment import plugin_registry
from asynctasq.config import SettingInfo, describe_plugin_settings, describe_settings
from asynctasq.config.values import value_as_text
from asynctasq.errors import ConfigurationError, PluginError
from asynctasq.plugins import PluginRegistry

WIDTH = 98
HEADER = """\
# Settings of asynctasq. Copy this file to .env, and remove the # from the settings you change.
# init({...}) in code takes precedence over environment variables, and these over .env.
# Separate the items of a list by commas, or write JSON. Write none for no value, where allowed.
"""


@click.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path(".env.example"),
    show_default=True,
    help="File or folder to write to.",
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
def command(output: Path, force: bool) -> None:
    """Write a commented .env.example with every setting of core and of the installed plugins."""
    path = output / ".env.example" if output.is_dir() else output
    text = example_file(plugin_registry())
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigurationError(
            f"{path} already exists. Pass --output for another file, or --force to overwrite it."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"Cannot write {path}: {error.strerror}.") from error
    count = len(re.findall(r"^#[A-Z]\w*=", text, re.MULTILINE))
    click.echo(f"Wrote {path.absolute()}: {count} settings, all commented out.")


def example_file(registry: PluginRegistry) -> str:
    """Return the text of the file: core, then each driver and serializer with settings.

    A plugin with several names (`redis`, `rediss`) is described once, under the first name.
    """
    sections = [_section("Core", describe_settings())]
    described: set[type] = set()
    for kind in ("driver", "serializer"):
        for name in registry.names(kind):
            try:
                settings_class = registry.settings_class(kind, name)
            except PluginError as error:
                click.echo(f"Warning: left out the settings of {kind} {name}: {error}", err=True)
                continue
            if settings_class is not None and settings_class not in described:
                described.add(settings_class)
                about = describe_plugin_settings(name, settings_class)
                sections.append(_section(f"{kind.capitalize()} {name}", about))
    return "\n".join([HEADER, *sections])


def _section(title: str, settings: Sequence[SettingInfo]) -> str:
    lines = [f"# {f' {title} ':-^{WIDTH - 2}}", ""]
    for setting in settings:
        lines += [*_setting_lines(setting), ""]
    return "\n".join(lines)


def _setting_lines(setting: SettingInfo) -> Iterator[str]:
    yield from (f"# {line}" for line in wrap(setting.description, WIDTH - 2))
    needed = " (required)" if setting.default is MISSING else ""
    yield from (f"# {line}" for line in wrap(f"{setting.type}{needed}", WIDTH - 2))
    value = "" if setting.default is MISSING else _quoted(value_as_text(setting.default))
    yield f"#{setting.variable}={value}"


def _quoted(text: str) -> str:
    """Return a text as `.env` files need it, in quotes if it has special characters."""
    if re.fullmatch(r"[\w.,:/@%+-]*", text, re.ASCII):
        return text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
