"""Which plugins are switched off: read before any other setting, because those belong to plugins."""

import os
from collections.abc import Mapping

from asynctasq.config.sources import PREFIX, read_variables
from asynctasq.config.values import Mismatch, split_list
from asynctasq.errors import ConfigurationError

VARIABLE = f"{PREFIX}DISABLE_PLUGINS"


def disabled_plugins(arguments: Mapping[str, object] | None = None) -> tuple[str, ...]:
    """The setting `disable_plugins`: from the arguments, the environment, or `.env`.

    Costs no pydantic. A value of the wrong type is left to `load_settings`, which tells of it.

    Raises:
        ConfigurationError: the variable cannot be read.
    """
    value = (arguments or {}).get("disable_plugins")
    if value is not None:
        entries = [value] if isinstance(value, str) else value
        return tuple(map(str, entries)) if isinstance(entries, list | tuple | set) else ()
    given = read_variables(os.environ, ".env", []).get(VARIABLE)
    if given is None:
        return ()
    try:
        return tuple(map(str, split_list(str(given.value))))
    except Mismatch as error:
        raise ConfigurationError(f"{given}: expected {error}") from error
