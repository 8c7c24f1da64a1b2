"""The options of `asynctasq worker` that are made from `WorkerOptions`."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from asynctasq.errors import ConfigurationError
from asynctasq.worker.options import OPTIONS, Option

C = TypeVar("C", bound=Callable[..., Any])


def worker_options(command: C) -> C:
    """Add the options of a worker to a command, in the order of their definition."""
    for each in reversed(list(OPTIONS.values())):
        if each.help:
            command = _decorator(each)(command)
    return command


def settings_among(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given options that override a setting."""
    return {name: value for name, value in _given(given).items() if OPTIONS[name].setting}


def others_among(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given options that only a worker has."""
    return {name: value for name, value in _given(given).items() if not OPTIONS[name].setting}


def _given(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in given.items() if name in OPTIONS and value not in (None, [])
    }


def _decorator(option: Option) -> Callable[[C], C]:
    names = [option.flag, option.short] if option.short else [option.flag]
    if option.type is bool:
        return click.option(*names, is_flag=True, help=option.help)
    return click.option(
        *names,
        type=_type_of(option),
        multiple=option.repeats,
        metavar=option.metavar,
        callback=None if option.parse is None else _parser(option.name, option.parse),
        help=option.help,
    )


def _type_of(option: Option) -> "click.ParamType[Any]":
    rule = option.rule
    if option.parse is None and option.type in (int, float):
        kind: Any = click.IntRange if option.type is int else click.FloatRange
        least = rule.at_least if rule.above is None else rule.above
        made: click.ParamType[Any] = kind(
            min=_bound(least), max=_bound(rule.at_most), min_open=rule.above is not None
        )
        return made
    return click.STRING


def _bound(value: float | None) -> float | None:
    """Return a bound as help texts show it: without decimals if it is a whole number."""
    return value if value is None or value != int(value) else int(value)


def _parser(name: str, parse: Callable[[Any], Any]) -> Callable[..., Any]:
    def callback(_context: click.Context, _option: click.Parameter, given: Any) -> Any:
        if given is None:
            return None
        try:
            return parse(given)
        except ConfigurationError as error:
            raise click.BadParameter(str(error).removeprefix(f"{name}: ")) from error

    return callback
