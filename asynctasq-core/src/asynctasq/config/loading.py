"""Settings from arguments, environment and `.env`: their precedence and their problems.

The order of precedence is: command line, arguments, environment, `.env`, defaults. Problems are
collected into one error. Each names the key as it was written, and its place.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from asynctasq.config.durations import duration_problems
from asynctasq.config.hiding import hidden_core
from asynctasq.config.problems import all_in_one, converted, nearest, wrong_value
from asynctasq.config.rules import PATTERN_WORDS, PLUGIN_NAME
from asynctasq.config.sections import PluginSections, variable_of
from asynctasq.config.settings import (
    CORE_FIELDS,
    CORE_TYPES,
    Settings,
    SettingsClass,
    rule_of,
)
from asynctasq.config.sources import PREFIX, Precedence, RawValue, read_variables
from asynctasq.config.urls import url_scheme
from asynctasq.config.values import NONE_WORDS, Mismatch, type_text

OFFICIAL_PLUGINS = frozenset(
    {"redis", "postgres", "mysql", "sqs", "rabbitmq", "sqlalchemy", "django", "tortoise"}
)
"""Names of plugins whose settings are accepted even if the plugin is not installed."""

_LEASE_DURATIONS = ("heartbeat_interval", "stall_limit")

CORE_VARIABLES: Mapping[str, str] = {variable_of(name): name for name in CORE_FIELDS}


def load_settings(
    arguments: Mapping[str, object] | None = None,
    *,
    settings_class: SettingsClass,
    known_plugins: Collection[str],
    command_line: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    dotenv: str | Path | None = ".env",
) -> Settings:
    """Read the settings of an application.

    `settings_class` returns the settings class of an installed plugin, or None if it has none.
    `known_plugins` contains the names of all installed plugins. `command_line` has settings of core
    only. `environ` is `os.environ` if None.
    The sections of the plugins in use (the driver, the serializer, and those that `arguments`
    name) are checked now, other sections when `Settings.plugin` reads them.

    Raises:
        ConfigurationError: some settings are invalid; the error has one line for each.
        PluginError: raised by `settings_class`.
    """
    problems: list[str] = []
    arguments = arguments or {}
    variables = read_variables(os.environ if environ is None else environ, dotenv, problems)
    core = _core_given(arguments, variables, command_line or {})
    values = _core_values(core, problems)
    serializer = values.get("serializer")
    if serializer is not None and not isinstance(serializer, str):
        values |= {"serializer": serializer.content_type, "serializer_instance": serializer}
    settings = Settings(**values)
    driver, instance = settings.driver, None
    if isinstance(driver, str):
        driver_name = url_scheme(driver) or driver
    else:
        instance, driver_name = driver, type(driver).__qualname__
    named = set[str]()
    if instance is None:
        named.add(driver_name)
    if isinstance(settings.state, str) and url_scheme(settings.state) is None:
        named.add(settings.state)
    if settings.serializer_instance is None:
        named.add(settings.serializer)

    plugin_names = OFFICIAL_PLUGINS | set(known_plugins) | named
    problems.extend(
        f"{name} (arguments): unknown setting{nearest(str(name), [*CORE_FIELDS, *plugin_names])}"
        for name in arguments
        if name not in CORE_FIELDS and name not in plugin_names
    )
    sections = PluginSections(
        {
            name: section
            for name, section in arguments.items()
            if name in plugin_names and name not in CORE_FIELDS
        },
        {name: given for name, given in variables.items() if name not in CORE_VARIABLES},
        plugin_names,
        url=core.get("driver") if instance is None and url_scheme(str(driver)) else None,
        settings_class=settings_class,
    )
    in_use = sorted((named | sections.names) & set(known_plugins))
    for name in in_use:
        sections.resolve(name, problems)
    suggestions = [*CORE_VARIABLES, *(v for name in in_use for v in sections.variables(name))]
    problems.extend(
        f"{given}: unknown setting{nearest(given.key, suggestions, common=PREFIX)}"
        for given in sections.strays
    )
    unchecked = _check_durations(settings, core, values, problems)
    if problems:
        raise all_in_one(problems)
    set_by_variables = {
        name: variables[variable]
        for variable, name in CORE_VARIABLES.items()
        if variable in variables
    }
    sections.hidden[:0] = hidden_core(core, set_by_variables)
    return Settings(
        **values,
        driver_name=driver_name,
        driver_instance=instance,
        sections=sections,
        unchecked_durations=unchecked,
        sources=core,
    )


def _core_given(
    arguments: Mapping[str, object],
    variables: Mapping[str, RawValue],
    command_line: Mapping[str, object],
) -> dict[str, RawValue]:
    """Return the raw value of each setting of core, from the source with the highest precedence."""
    core = {CORE_VARIABLES[name]: variables[name] for name in CORE_VARIABLES if name in variables}
    for name, value in arguments.items():
        if name in CORE_FIELDS:
            core[name] = RawValue(value, name, Precedence.ARGUMENTS, "arguments")
    for name, value in command_line.items():
        core[name] = RawValue(value, name, Precedence.COMMAND_LINE, "command line")
    return core


def _core_values(core: Mapping[str, RawValue], problems: list[str]) -> dict[str, Any]:
    """Return the valid values; `problems` gets a line for each of the others."""
    values: dict[str, Any] = {}
    for name, given in core.items():
        if name == "driver" or (name in {"outbox", "state"} and not _is_none(given)):
            values[name] = _driver_value(name, given, problems)
        elif name in {"outbox", "state"}:
            values[name] = None
        elif name == "serializer" and not isinstance(given.value, str):
            values[name] = _serializer_value(given, problems)
        else:
            values[name] = _core_value(name, given, problems)
    return {name: value for name, value in values.items() if value is not MISSING}


def _core_value(name: str, given: RawValue, problems: list[str]) -> Any:
    rule = rule_of(name)
    expected = type_text(CORE_TYPES[name])
    try:
        value = converted(given, CORE_TYPES[name])
    except Mismatch as mismatch:
        expected = str(mismatch)
    else:
        if rule.allows(value):
            return value
        expected += f" {rule.bounds_for(value)}"
    problems.append(f"{wrong_value(given, name, expected.strip())}. {rule.description}")
    return MISSING


def _is_none(given: RawValue) -> bool:
    """Return whether a value means that there is none, from code or from the environment."""
    value = given.value
    is_text = isinstance(value, str) and given.rank < Precedence.ARGUMENTS
    return value is None or (is_text and str(value).strip().lower() in NONE_WORDS)


def _driver_value(name: str, given: RawValue, problems: list[str]) -> Any:
    value = given.value
    if isinstance(value, str):
        if url_scheme(value) or PLUGIN_NAME.fullmatch(value):
            return value
    elif _is_instance(value, "api_version", "clone"):
        return value
    words = "a plugin's name, a URL such as sqlite:///path/to/file.db, or a driver instance"
    problems.append(wrong_value(given, name, _expected(value, words)))
    return MISSING


def _serializer_value(given: RawValue, problems: list[str]) -> Any:
    value: Any = given.value
    words = "a plugin's name, or a serializer instance with content_type, dumps and loads"
    if _is_instance(value, "content_type", "dumps", "loads"):
        name: object = value.content_type
        if isinstance(name, str) and PLUGIN_NAME.fullmatch(name):
            return value
        words = f"a serializer whose content_type is a name {PATTERN_WORDS[PLUGIN_NAME]}"
    problems.append(wrong_value(given, "serializer", _expected(value, words)))
    return MISSING


def _is_instance(value: object, *members: str) -> bool:
    return not isinstance(value, type) and all(hasattr(value, member) for member in members)


def _expected(value: object, words: str) -> str:
    if isinstance(value, type):
        return f"an instance, as in {value.__qualname__}(...)"
    return words


def _check_durations(
    settings: Settings, core: Mapping[str, RawValue], values: Mapping[str, Any], problems: list[str]
) -> dict[str, str]:
    """Check durations that must fit each other; return those that need the driver's default lease.

    The worker checks durations from the environment and `.env`: the command line may still change
    one of them, and other processes do not use them.
    """
    final = {name for name, given in core.items() if given.rank > Precedence.ENVIRONMENT}
    if settings.lease is None:
        return {name: str(core[name]) for name in _LEASE_DURATIONS if name in final & values.keys()}
    for duration, problem in duration_problems(
        settings.heartbeat_interval, settings.stall_limit, settings.lease
    ):
        given = [name for name in (duration, "lease") if name in core]
        if final.intersection(given) and all(name in values for name in given):
            problems.append(f"{' and '.join(str(core[name]) for name in given)}: {problem}")
    return {}
