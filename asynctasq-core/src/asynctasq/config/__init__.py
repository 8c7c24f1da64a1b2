"""Settings: their names, their sources, and the errors about them.

`load_settings` reads them, `Settings` is the immutable result, and `describe_settings` lists all
settings. pydantic is imported when settings are loaded, not before.
"""

from asynctasq.config.describe import SettingInfo, describe_plugin_settings, describe_settings
from asynctasq.config.early import disabled_plugins, imports_of_environment
from asynctasq.config.given import GivenSetting
from asynctasq.config.hiding import (
    hidden_settings_wait,
    mute_settings_warnings,
    settings_warnings_muted,
    warn_of_hidden,
)
from asynctasq.config.loading import OFFICIAL_PLUGINS, load_settings
from asynctasq.config.settings import Settings
from asynctasq.config.urls import mask_url, url_scheme

__all__ = [
    "OFFICIAL_PLUGINS",
    "GivenSetting",
    "SettingInfo",
    "Settings",
    "describe_plugin_settings",
    "describe_settings",
    "disabled_plugins",
    "hidden_settings_wait",
    "imports_of_environment",
    "load_settings",
    "mask_url",
    "mute_settings_warnings",
    "settings_warnings_muted",
    "url_scheme",
    "warn_of_hidden",
]
