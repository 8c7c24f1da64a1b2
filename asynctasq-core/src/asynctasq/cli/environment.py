"""What commands know before an application is loaded."""

from asynctasq.config.early import disabled_plugins
from asynctasq.plugins import PluginRegistry


def plugin_registry() -> PluginRegistry:
    """The plugins of this environment, without those that its settings disable.

    Raises:
        ConfigurationError: the setting `disable_plugins` cannot be used.
    """
    return PluginRegistry(disabled=disabled_plugins())
