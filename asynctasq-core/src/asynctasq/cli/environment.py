"""What commands know before an application is loaded: the environment and `.env`."""

import os

from asynctasq.config.sources import PREFIX, read_variables
from asynctasq.config.values import Mismatch, split_list
from asynctasq.errors import ConfigurationError
from asynctasq.plugins import PluginRegistry

DISABLE_PLUGINS = f"{PREFIX}DISABLE_PLUGINS"


def plugin_registry() -> PluginRegistry:
    """The plugins of this environment, without those that its settings disable.

    Only that one setting is read, so that a listing costs no pydantic.

    Raises:
        ConfigurationError: the setting cannot be read.
    """
    given = read_variables(os.environ, ".env", []).get(DISABLE_PLUGINS)
    if given is None:
        return PluginRegistry()
    try:
        entries = [str(entry) for entry in split_list(str(given.value))]
    except Mismatch as error:
        raise ConfigurationError(f"{given}: expected {error}") from error
    return PluginRegistry(disabled=entries)
