"""Importing one plugin, and asking it."""

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
    """A plugin that was imported and whose hooks fit their specifications."""

    def __init__(self, offer: PluginEntry, target: object) -> None:
        self.offer = offer
        self.target = target
        """The module or object that the entry point names."""
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.register(target, name=offer.name)
        callers = self._manager.get_hookcallers(target) or []
        found = [(each.name, made) for each in callers for made in each.get_hookimpls()]
        check_hooks(target, found)
        check_purpose(offer.kind, target, frozenset(name for name, _ in found))
        self._manager.add_hookspecs(hookspecs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.offer.label}>"

    @property
    def name(self) -> str:
        """As logs call it."""
        return f"{self.offer.name} ({self.offer.origin})"

    def implementations(self, hook: str) -> list[pluggy.HookImpl]:
        """What the plugin registers for a hook; nearly always none or one."""
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        return caller.get_hookimpls()

    def settings_class(self) -> type | None:
        """The class of its settings; None if it takes a plain dict.

        Raises:
            PluginBroken: the hook raised, or answered with something else.
        """
        answer = self._ask("settings_class", name=self.offer.name)
        if answer is not None and not isinstance(answer, type):
            raise broken(self.offer, f"settings_class returned {answer!r}, which is no class.")
        return answer

    def create(self, settings: object = None) -> Any:
        """Make what the plugin is for, checked. Without `settings` it gets its defaults.

        Raises:
            PluginBroken: the factory raised or returned None, or what it made does not fit.
            ConfigurationError: the factory refuses the settings.
        """
        kind, name = self.offer.kind, self.offer.name
        factory = FACTORIES[kind]
        if settings is None:
            settings = self._default_settings()
        product = self._ask(factory, name=name, settings=settings)
        if product is None:
            raise broken(self.offer, f"{factory}({name!r}, ...) returned None.")
        try:
            if kind == "driver":
                check_driver(product, self.offer)
            else:
                check_product(kind, name, product)
        except PluginBroken as error:
            raise broken(self.offer, str(error)) from error
        return product

    def _default_settings(self) -> object:
        settings_class = self.settings_class()
        if settings_class is None:
            return {}
        try:
            return settings_class()
        except Exception as error:
            raise broken(
                self.offer,
                f"every field of {settings_class.__qualname__} must have a default; "
                f"{describe(error)}",
            ) from error

    def _ask(self, hook: str, **arguments: object) -> Any:
        try:
            return getattr(self._manager.hook, hook)(**arguments)
        except ConfigurationError:
            raise
        except Exception as error:
            raise broken(self.offer, f"{hook} raised {describe(error)}") from error


def load_plugin(offer: PluginEntry) -> Plugin:
    """Import a plugin and check its hooks.

    Raises:
        PluginBroken: it cannot be imported, or a hook does not fit.
    """
    try:
        target = offer.load()
    except Exception as error:
        raise PluginBroken(f"The {offer.label} cannot be imported: {describe(error)}") from error
    try:
        plugin = Plugin(offer, target)
    except (PluginBroken, pluggy.PluginValidationError) as error:
        raise broken(offer, str(error)) from error
    for name in unmarked(target):
        logger.warning(
            "The %s has a function %s without @hookimpl; it is never called", offer.label, name
        )
    return plugin


def broken(offer: PluginEntry, problem: str) -> PluginBroken:
    """The error that says what is wrong with a plugin."""
    return PluginBroken(f"The {offer.label} is broken: {problem}")


def describe(error: BaseException) -> str:
    """Type and message of an error."""
    text = str(error).strip()
    return f"{type(error).__qualname__}: {text}" if text else type(error).__qualname__
