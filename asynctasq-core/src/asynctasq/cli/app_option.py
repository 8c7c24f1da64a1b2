"""The `--app` option, shared by all commands."""

from collections.abc import Sequence

import click


def one_app(_context: click.Context, _option: click.Parameter, given: Sequence[str]) -> str | None:
    """Take the option once: click itself would take the last.

    Raises:
        click.UsageError: it was given several times.
    """
    if len(given) > 1:
        raise click.UsageError(f"--app can be given once only. {several_modules(given)}", _context)
    return given[0] if given else None


def several_modules(targets: Sequence[str]) -> str:
    """Say how several modules are imported."""
    names = ",".join(target.partition(":")[0].strip() for target in targets)
    return f"To import several modules, name them in the setting imports: ASYNCTASQ_IMPORTS={names}"
