"""The `--app` option, shared by all commands."""

from collections.abc import Sequence

import click


def one_app(_context: click.Context, _option: click.Parameter, given: Sequence[str]) -> str | None:
    """Return the only value of the option; click itself would take the last one.

    Raises:
        click.UsageError: the option was given several times.
    """
    if len(given) > 1:
        raise click.UsageError(f"--app can be given only once. {several_modules(given)}", _context)
    return given[0] if given else None


def several_modules(targets: Sequence[str]) -> str:
    """Return a hint on how to import several modules."""
    names = ",".join(target.partition(":")[0].strip() for target in targets)
    return f"To import several modules, use the setting imports: ASYNCTASQ_IMPORTS={names}"
