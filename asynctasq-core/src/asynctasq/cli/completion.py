"""`asynctasq completion`: complete commands, options and names of queues in the shell."""

import os
from collections.abc import Mapping
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from asynctasq.errors import ConfigurationError

PROGRAM = "asynctasq"
VARIABLE = "_ASYNCTASQ_COMPLETE"
PLACES: Mapping[str, tuple[str, str, str]] = {
    "bash": ("XDG_DATA_HOME", ".local/share", "bash-completion/completions/asynctasq"),
    "zsh": ("ZDOTDIR", "", ".zfunc/_asynctasq"),
    "fish": ("XDG_CONFIG_HOME", ".config", "fish/completions/asynctasq.fish"),
}
"""Locations of completion scripts: a variable with a folder, the default folder, and the file."""
HINTS: Mapping[str, str] = {
    "bash": "Open a new shell to use it. It needs the package bash-completion.",
    "zsh": "Open a new shell to use it. ~/.zshrc needs: fpath+=~/.zfunc; autoload -Uz compinit; compinit",
    "fish": "Open a new shell to use it.",
}


@click.command()
@click.argument("shell", type=click.Choice(list(PLACES)), required=False)
@click.option(
    "--install", is_flag=True, help="Write the script to the folder where the shell looks for it."
)
def command(shell: str | None, install: bool) -> None:
    """Print or install the completion script for a shell.

    SHELL is bash, zsh or fish.  [default: from the environment variable SHELL]
    """
    name = shell or Path(os.environ.get("SHELL", "")).name
    if name not in PLACES:
        raise click.UsageError(f"Pass the name of a shell: {', '.join(PLACES)}.")
    script = _script(name)
    if not install:
        click.echo(script)
        return
    path = _place(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script + "\n")
    except OSError as error:
        raise ConfigurationError(
            f"Cannot write {path}: {error.strerror}. Without --install, the script is printed."
        ) from error
    click.echo(f"Wrote {path}. {HINTS[name]}")


def _script(shell: str) -> str:
    root = click.get_current_context().find_root().command
    found = get_completion_class(shell)
    assert found is not None, "click knows these shells"
    completion = found(root, {}, PROGRAM, VARIABLE)
    return str(completion.source_template % completion.source_vars())


def _place(shell: str) -> Path:
    variable, folder, file = PLACES[shell]
    base = os.environ.get(variable)
    return Path(base) / file if base else Path.home() / folder / file
