"""What commands know before an application is loaded: the environment and `.env`."""

from asynctasq.config.disabling import disabled_plugins
from asynctasq.plugins import PluginRegistry


def plugin_registry() -> PluginRegistry:
    """The plugins of this environment, without those that its settings disable.

    Raises:
        ConfigurationError: that setting cannot be read.
    """
    return PluginRegistry(disabled=disabled_plugins())
