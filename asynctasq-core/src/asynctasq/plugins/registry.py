"""The plugins of one app: listing, selection, loading and creation of their products."""

import contextlib
from collections.abc import Callable, Collection
from enum import StrEnum
from typing import Any

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.capabilities.transactions import TransactionAdapter
from asynctasq.contracts.driver import Driver
from asynctasq.contracts.executor import Executor
from asynctasq.contracts.resolver import Resolver
from asynctasq.contracts.serializer import Serializer
from asynctasq.errors import ConfigurationError, PluginBroken, PluginConflict, PluginNotFound
from asynctasq.hookspecs import GROUPS
from asynctasq.plugins.discovery import DisableRules, PluginEntry, installed_entries
from asynctasq.plugins.loading import Plugin, describe, load_plugin
from asynctasq.plugins.missing import framework_missing, is_importable, not_found
from asynctasq.plugins.validation import FACTORIES
from asynctasq.records import record


class PluginState(StrEnum):
    """State of a plugin in a listing."""

    AVAILABLE = "available"
    """Installed, and imported when it is selected."""
    LOCAL = "local"
    """Registered by the application."""
    DISABLED = "disabled"
    """Installed, and switched off by `disable_plugins`."""
    CONFLICT = "conflict"
    """Another plugin has the same kind and name, so selecting it is an error."""
    NOT_INSTALLED = "not installed"
    """A resolver whose framework is not installed, so that it is never selected."""
    BROKEN = "broken"
    """The check failed, so selecting it is an error."""


@record
class PluginInfo:
    """One plugin, as `asynctasq plugins list` shows it."""

    kind: str
    name: str
    distribution: str | None
    """None for a local plugin."""
    version: str | None
    state: PluginState
    value: str
    """Value of the entry point."""
    api_version: int | None = None
    """Only for a driver that was checked."""
    capabilities: tuple[str, ...] | None = None
    """Only for a driver that was checked."""
    error: str | None = None
    """Reason why it is broken or not installed, or the settings that a working plugin requires."""


class PluginRegistry:
    """Finds plugins, and loads each when it is first selected.

    `disabled` is the setting `disable_plugins`: names, `kind:name`, `kind:name:distribution`, or
    distributions. It applies to installed plugins only, not to those that the application registers.
    `changed` is called when the application has registered or removed a plugin.

    Raises:
        ConfigurationError: `disabled` names a kind that does not exist.
    """

    def __init__(
        self, *, disabled: Collection[str] = (), changed: Callable[[], None] | None = None
    ) -> None:
        self._rules = DisableRules.parse(disabled)
        self._installed: list[PluginEntry] | None = None
        self._local: list[tuple[PluginEntry, object]] = []
        self._loaded: dict[PluginEntry, Plugin] = {}
        self._changed = changed

    # Listing, without imports.

    def available(self, kind: str | None = None) -> list[PluginInfo]:
        """Return every plugin, including disabled and conflicting ones, without importing any."""
        return [_info(entry, self._state(entry)) for entry in self._entries(kind)]

    def names(self, kind: str) -> list[str]:
        """Return the names that can be selected, sorted."""
        return sorted({entry.name for entry in self._enabled(kind)})

    def check(self, kind: str | None = None) -> list[PluginInfo]:
        """Import every plugin, create its product with default settings, and return the findings."""
        return [self._checked(entry) for entry in self._entries(kind)]

    # Loading and creating.

    def plugin(self, kind: str, name: str) -> Plugin:
        """Return a plugin with its hooks, and import it at the first call. Raises as `load` does."""
        entry = self._select(kind, name)
        if entry not in self._loaded:
            self._loaded[entry] = load_plugin(entry)
        return self._loaded[entry]

    def load(self, kind: str, name: str) -> object:
        """Return the module or object behind a name, and import it at the first call.

        Raises:
            PluginNotFound: nothing enabled answers to the name.
            PluginConflict: more than one does.
            PluginBroken: it cannot be imported, or its hooks do not fit.
        """
        return self.plugin(kind, name).target

    def settings_class(self, kind: str, name: str) -> type | None:
        """Return the settings class of a plugin; None if it takes a plain dict. Raises as `load` does."""
        return self.plugin(kind, name).settings_class()

    def create_driver(self, name: str, settings: object = None) -> Driver:
        """Create a driver and check it; it is not opened. `settings` is an instance of its settings class.

        Raises:
            PluginNotFound, PluginConflict, PluginBroken: as `load`; PluginBroken also if the factory
                raises or returns None, or if its product does not match the contract.
            ConfigurationError: the plugin refuses the settings.
        """
        driver: Driver = self.plugin("driver", name).create(settings)
        return driver

    def create_serializer(self, name: str, settings: object = None) -> Serializer:
        """Create a serializer. Raises as `create_driver` does."""
        serializer: Serializer = self.plugin("serializer", name).create(settings)
        return serializer

    def create_executor(self, name: str, settings: object = None) -> Executor:
        """Create an executor, which is not started. Raises as `create_driver` does."""
        executor: Executor = self.plugin("executor", name).create(settings)
        return executor

    def create_resolver(self, name: str, settings: object = None) -> Resolver:
        """Create a model resolver. Raises as `create_driver` does."""
        resolver: Resolver = self.plugin("resolver", name).create(settings)
        return resolver

    def create_transaction_adapter(self, name: str, settings: object = None) -> TransactionAdapter:
        """Create an adapter of transactions. Raises as `create_driver` does."""
        adapter: TransactionAdapter = self.plugin("transaction", name).create(settings)
        return adapter

    def hooks(self) -> list[Plugin]:
        """Load all plugins of the kind `hook`: installed ones by name, then local ones.

        Raises:
            PluginConflict, PluginBroken: as `load`.
        """
        return [self.plugin("hook", entry.name) for entry in self._enabled("hook")]

    # Plugins of the application.

    def register(self, plugin: Any, *, kind: str = "hook", name: str | None = None) -> None:
        """Add a plugin of the application: a module or object with functions marked `@hookimpl`.

        Plugins of the kind `hook` need neither kind nor name. Observers are called for dispatches from
        now on, and by workers that start from now on.

        Raises:
            PluginBroken: its hooks do not fit.
            PluginConflict: it is already registered, or another plugin of this kind and name is.
            TypeError: a kind other than `hook` without a name.
        """
        _check_kind(kind)
        if name is None:
            if kind != "hook":
                raise TypeError(f"A local {kind} plugin needs a name: register(..., name='...')")
            name = self._free_name(plugin)
        for other, target in self._local:
            if (other.kind, other.name) == (kind, name) or (
                target is plugin and kind == other.kind
            ):
                raise PluginConflict(
                    f"The {other.label} is already registered. Unregister it first."
                )
        entry = PluginEntry(
            kind=kind,
            name=name,
            value=_describe_object(plugin),
            distribution=None,
            version=None,
            load=lambda: plugin,
        )
        self._loaded[entry] = load_plugin(entry)
        self._local.append((entry, plugin))
        self._notify()

    def unregister(self, plugin: Any) -> None:
        """Remove a plugin that was registered.

        Raises:
            PluginNotFound: this object is not registered.
        """
        kept = [(entry, target) for entry, target in self._local if target is not plugin]
        if len(kept) == len(self._local):
            raise PluginNotFound(f"{_describe_object(plugin)} is not registered with this app.")
        for entry, target in self._local:
            if target is plugin:
                self._loaded.pop(entry, None)
        self._local = kept
        self._notify()

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed()

    def _entries(self, kind: str | None) -> list[PluginEntry]:
        if kind is not None:
            _check_kind(kind)
        if self._installed is None:
            self._installed = installed_entries()
            self._rules.warn_of_unused(self._installed)
        everything = [*self._installed, *(entry for entry, _ in self._local)]
        return [entry for entry in everything if kind is None or entry.kind == kind]

    def _enabled(self, kind: str, name: str | None = None) -> list[PluginEntry]:
        return [
            entry
            for entry in self._entries(kind)
            if (name is None or entry.name == name) and self._rules.match(entry) is None
        ]

    def _select(self, kind: str, name: str) -> PluginEntry:
        enabled = self._enabled(kind, name)
        if len(enabled) == 1:
            return enabled[0]
        if enabled:
            raise PluginConflict(_conflict(kind, name, enabled))
        for entry in self._entries(kind):
            if entry.name == name:
                raise PluginNotFound(
                    f"The {entry.label} is disabled by disable_plugins: {self._rules.match(entry)!r}."
                )
        raise PluginNotFound(not_found(kind, name, self.names(kind)))

    def _state(self, entry: PluginEntry) -> PluginState:
        if self._rules.match(entry) is not None:
            return PluginState.DISABLED
        if len(self._enabled(entry.kind, entry.name)) > 1:
            return PluginState.CONFLICT
        return PluginState.LOCAL if entry.distribution is None else PluginState.AVAILABLE

    def _checked(self, entry: PluginEntry) -> PluginInfo:
        state = self._state(entry)
        if state is PluginState.DISABLED:
            return _info(entry, state)
        if state is PluginState.CONFLICT:
            rivals = self._enabled(entry.kind, entry.name)
            return _info(entry, state, error=_conflict(entry.kind, entry.name, rivals))
        if (
            entry.kind in {"resolver", "transaction"}
            and entry.distribution
            and not is_importable(entry.name)
        ):
            return _info(entry, PluginState.NOT_INSTALLED, error=framework_missing(entry.name))
        try:
            plugin = self.plugin(entry.kind, entry.name)
            product: Any = plugin.create() if entry.kind in FACTORIES else None
        except PluginBroken as error:
            return _info(entry, PluginState.BROKEN, error=str(error))
        except ConfigurationError as error:
            return _info(entry, state, error=f"Needs settings: {describe(error)}")
        if entry.kind != "driver":
            return _info(entry, state)
        return _info(
            entry,
            state,
            api_version=product.api_version,
            capabilities=_flag_names(product.capabilities),
        )

    def _free_name(self, plugin: object) -> str:
        base = _describe_object(plugin)
        taken = {entry.name for entry, _ in self._local}
        name, count = base, 2
        while name in taken:
            name, count = f"{base}-{count}", count + 1
        return name


def _check_kind(kind: str) -> None:
    if kind not in GROUPS:
        raise ValueError(f"The kind of a plugin must be one of {', '.join(GROUPS)}, got {kind!r}.")


def _info(
    entry: PluginEntry,
    state: PluginState,
    *,
    api_version: int | None = None,
    capabilities: tuple[str, ...] | None = None,
    error: str | None = None,
) -> PluginInfo:
    return PluginInfo(
        kind=entry.kind,
        name=entry.name,
        distribution=entry.distribution,
        version=entry.version,
        state=state,
        value=entry.value,
        api_version=api_version,
        capabilities=capabilities,
        error=error,
    )


def _conflict(kind: str, name: str, rivals: list[PluginEntry]) -> str:
    who = " and ".join(f"{entry.origin} ({entry.value})" for entry in rivals)
    # Not the distribution alone: `asynctasq` would disable all that core brings.
    rules = [
        f"{kind}:{name}:{each.distribution}" for each in rivals if each.distribution is not None
    ]
    remedies = " or ".join(f"disable_plugins=[{rule!r}]" for rule in rules)
    return (
        f"{len(rivals)} plugins claim the {kind} name {name!r}: {who}. "
        f"Disable one of them: {remedies}."
    )


def _flag_names(capabilities: Capability) -> tuple[str, ...]:
    return tuple(flag.name for flag in capabilities if flag.name is not None)


def _describe_object(plugin: Any) -> str:
    with contextlib.suppress(AttributeError):
        return str(plugin.__name__)  # a module or a class
    return f"{type(plugin).__module__}.{type(plugin).__qualname__}"
