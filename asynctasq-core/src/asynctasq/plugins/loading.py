"""Import of one plugin, and calls of its hooks."""

from typing import Any

import pluggy

from asynctasq import hookspecs
from asynctasq.errors import ConfigurationError, PluginBroken
from asynctasq.hookspecs import PROJECT
from asynctasq.plugins.discovery import PluginEntry, logger
from asynctasq.plugins.validation import (
    FACTORIES,
    check_driver,
    check_hooks,
    check_product,
    check_purpose,
    unmarked,
)


class Plugin:
    """An imported plugin whose hooks match their specifications."""

    def __init__(self, entry: PluginEntry, target: object) -> None:
        self.entry = entry
        self.target = target
        """The module or object that the entry point names."""
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.register(target, name=entry.name)
        callers = self._manager.get_hookcallers(target) or []
        found = [(each.name, made) for each in callers for made in each.get_hookimpls()]
        check_hooks(target, found)
        check_purpose(entry.kind, target, frozenset(name for name, _ in found))
        self._manager.add_hookspecs(hookspecs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.entry.label}>"

    @property
    def name(self) -> str:
        """The name and origin of the plugin, for logs."""
        return f"{self.entry.name} ({self.entry.origin})"

    def implementations(self, hook: str) -> list[pluggy.HookImpl]:
        """Return the functions that the plugin registers for a hook; usually none or one."""
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        return caller.get_hookimpls()

    def settings_class(self) -> type | None:
        """Return the settings class of the plugin; None if it takes a plain dict.

        Raises:
            PluginBroken: the hook raised, or answered with something else.
        """
        answer = self._call("settings_class", name=self.entry.name)
        if answer is not None and not isinstance(answer, type):
            raise broken(self.entry, f"settings_class must return a class, got {answer!r}.")
        return answer

    def create(self, settings: object = None) -> Any:
        """Create the product of the plugin and check it. Without `settings`, the defaults apply.

        Raises:
            PluginBroken: the factory raised or returned None, or its product does not match the contract.
            ConfigurationError: the factory refuses the settings.
        """
        kind, name = self.entry.kind, self.entry.name
        factory = FACTORIES[kind]
        if settings is None:
            settings = self._default_settings()
        product = self._call(factory, name=name, settings=settings)
        if product is None:
            raise broken(self.entry, f"{factory}({name!r}, ...) returned None.")
        try:
            if kind == "driver":
                check_driver(product, self.entry)
            else:
                check_product(kind, name, product)
        except PluginBroken as error:
            raise broken(self.entry, str(error)) from error
        return product

    def _default_settings(self) -> object:
        settings_class = self.settings_class()
        if settings_class is None:
            return {}
        try:
            return settings_class()
        except Exception as error:
            raise broken(
                self.entry,
                f"every field of {settings_class.__qualname__} must have a default; "
                f"{describe(error)}",
            ) from error

    def _call(self, hook: str, **arguments: object) -> Any:
        try:
            return getattr(self._manager.hook, hook)(**arguments)
        except ConfigurationError:
            raise
        except Exception as error:
            raise broken(self.entry, f"{hook} raised {describe(error)}") from error


def load_plugin(entry: PluginEntry) -> Plugin:
    """Import a plugin and check its hooks.

    Raises:
        PluginBroken: it cannot be imported, or a hook does not fit.
    """
    try:
        target = entry.load()
    except Exception as error:
        raise PluginBroken(f"The {entry.label} cannot be imported: {describe(error)}") from error
    try:
        plugin = Plugin(entry, target)
    except (PluginBroken, pluggy.PluginValidationError) as error:
        raise broken(entry, str(error)) from error
    for name in unmarked(target):
        logger.warning(
            "The %s has a function %s without @hookimpl; it is never called", entry.label, name
        )
    return plugin


def broken(entry: PluginEntry, problem: str) -> PluginBroken:
    """Return the error for a plugin that is broken."""
    return PluginBroken(f"The {entry.label} is broken: {problem}")


def describe(error: BaseException) -> str:
    """Return the type and message of an error."""
    text = str(error).strip()
    return f"{type(error).__qualname__}: {text}" if text else type(error).__qualname__
