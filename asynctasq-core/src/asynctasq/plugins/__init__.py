"""Finding, loading and checking plugins.

One `PluginRegistry` per app. It reads the metadata of what is installed once, imports a plugin only
when it is selected, and turns everything that can be wrong with one into an error that names the
plugin, its distribution and the remedy, for those alone who select it.
"""

from asynctasq.plugins.discovery import PluginEntry
from asynctasq.plugins.loading import Plugin
from asynctasq.plugins.registry import PluginInfo, PluginRegistry, PluginState
from asynctasq.plugins.validation import check_driver, check_product

__all__ = [
    "Plugin",
    "PluginEntry",
    "PluginInfo",
    "PluginRegistry",
    "PluginState",
    "check_driver",
    "check_product",
]
