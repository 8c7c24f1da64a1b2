"""Settings that are read before all others: plugins to disable, and modules to import.

Reading them needs neither pydantic nor an app.
"""

import os
from collections.abc import Mapping

from asynctasq.config.sources import PREFIX, read_variables
from asynctasq.config.values import Mismatch, split_list
from asynctasq.errors import ConfigurationError


def disabled_plugins(arguments: Mapping[str, object] | None = None) -> tuple[str, ...]:
    """Return the setting `disable_plugins`: from the arguments, the environment, or `.env`.

    The settings of plugins belong to them, so these names come first. A value of the wrong type is left
    to `load_settings`, which reports it.

    Raises:
        ConfigurationError: the variable cannot be read.
    """
    value = (arguments or {}).get("disable_plugins")
    if value is not None:
        entries = [value] if isinstance(value, str) else value
        return tuple(map(str, entries)) if isinstance(entries, list | tuple | set) else ()
    return _listed(f"{PREFIX}DISABLE_PLUGINS")


def imports_of_environment() -> tuple[str, ...]:
    """Return the setting `imports` of the environment or `.env`, for which no app is needed.

    Raises:
        ConfigurationError: the variable cannot be read.
    """
    return _listed(f"{PREFIX}IMPORTS")


def _listed(variable: str) -> tuple[str, ...]:
    given = read_variables(os.environ, ".env", []).get(variable)
    if given is None:
        return ()
    try:
        return tuple(map(str, split_list(str(given.value))))
    except Mismatch as error:
        raise ConfigurationError(f"{given} must be {error}, got {given.shown()}") from error
