"""Discovery, loading and validation of plugins.

Each app has one `PluginRegistry`. It reads the metadata of installed distributions once and imports a
plugin only when it is selected. A broken plugin affects only the users who select it; the error names
the plugin, its distribution and the remedy.
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
