"""The environment of commands before an application is loaded."""

from asynctasq.config.early import disabled_plugins
from asynctasq.plugins import PluginRegistry


def plugin_registry() -> PluginRegistry:
    """Return the plugins of this environment, without the disabled ones.

    Raises:
        ConfigurationError: the setting `disable_plugins` is invalid.
    """
    return PluginRegistry(disabled=disabled_plugins())
