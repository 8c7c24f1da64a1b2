"""Hints for users who type commands and options of other task queues."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

START = "asynctasq worker --app MODULE"

COMMANDS: Mapping[str, str] = {
    **dict.fromkeys(
        ("run", "start", "serve", "consume", "consumer", "launch"),
        f"To start a worker: {START}",
    ),
    **dict.fromkeys(
        ("status", "stats", "inspect", "info", "monitor", "flower"),
        "To inspect a store: asynctasq queues, asynctasq tasks or asynctasq workers",
    ),
    **dict.fromkeys(
        ("purge", "flush", "clear", "empty"), "To empty a queue: asynctasq queues purge QUEUE"
    ),
    "pause": "To pause a queue: asynctasq queues pause QUEUE",
    "resume": "To resume a queue: asynctasq queues resume QUEUE",
    **dict.fromkeys(("retry", "requeue"), "To retry dead letters: asynctasq dead retry"),
    **dict.fromkeys(("failed", "failures", "dlq"), "To list dead letters: asynctasq dead"),
    **dict.fromkeys(
        ("cancel", "revoke", "abort", "kill"), "To cancel a task: asynctasq tasks cancel ID"
    ),
    **dict.fromkeys(
        ("stop", "shutdown", "quiet", "drain"),
        "To stop workers: asynctasq workers stop ID. To let them finish first: asynctasq workers quiet ID",
    ),
    **dict.fromkeys(("show", "result", "get"), "To see one task: asynctasq tasks show ID"),
    **dict.fromkeys(
        ("upgrade", "db", "install"), "To update the tables of a store: asynctasq migrate"
    ),
    **dict.fromkeys(("config", "settings"), "To write a file with all settings: asynctasq publish"),
    "check": "To check a driver: asynctasq drivers check URL",
    "version": "To see the version: asynctasq --version",
    "help": "To see all commands: asynctasq --help",
    **dict.fromkeys(
        ("beat", "scheduler", "schedule", "cron", "periodic"),
        "Periodic tasks are not available yet.",
    ),
}
"""Words typed instead of a command, and their hints."""

OPTIONS: Mapping[str, str] = {
    "-A": "--app",
    "-Q": "--queues",
    "-l": "--log-level",
    "-n": "--worker-id",
    "-P": "--processes",
}
"""Options of other task queues, and the equivalent options of `asynctasq worker`."""


def command_hint(word: str) -> str:
    """Return the hint for a word that is not a command, or an empty text."""
    if word in COMMANDS:
        return COMMANDS[word]
    if re.fullmatch(r"[\w.]+:\w+|\w+(\.\w+)+", word) or Path(f"{word}.py").exists():
        return f"To run the tasks of a module: asynctasq worker --app {word.removesuffix('.py')}"
    return ""


def with_hint(error: click.UsageError) -> click.UsageError:
    """Return the error with a suggestion appended, if there is one."""
    hint = _hint_of(error)
    if not hint:
        return error
    return click.UsageError(f"{error.format_message().rstrip('.')}. {hint}", error.ctx)


def _hint_of(error: click.UsageError) -> str:
    context = error.ctx
    if context is None:
        return ""
    words = extra_arguments(error.message)
    if isinstance(error, click.NoSuchOption):
        return _option_hint(context, error.option_name)
    if words and context.command_path == "asynctasq worker":
        return _worker_hint(words)
    if context.command_path == "asynctasq workers" and error.message.startswith("No such command"):
        return "" if "Did you mean" in error.message else f"To start one: {START}"
    return ""


def extra_arguments(message: str) -> list[str]:
    """Extract the unexpected arguments from an error message of click."""
    found = re.match(r"Got unexpected extra arguments? \((.*)\)", message)
    return found[1].split() if found else []


def _worker_hint(words: Sequence[str]) -> str:
    named = [word for word in words if word not in COMMANDS]
    module = named[0].removesuffix(".py").replace("/", ".") if named else "MODULE"
    return f"To run the tasks of a module: asynctasq worker --app {module}"


def _option_hint(context: click.Context, name: str) -> str:
    if context.parent is not None:
        known = {option for each in context.command.params for option in each.opts}
        meant = OPTIONS.get(name)
        return f"Did you mean {meant!r}?" if meant in known else ""
    return f"Options follow the command: asynctasq worker {OPTIONS.get(name, name)} ..."
