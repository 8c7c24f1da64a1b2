"""The plugins of one app: which there are, and the ones in use."""

import contextlib
from collections.abc import Callable, Collection
from enum import StrEnum
from typing import Any

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver
from asynctasq.contracts.executor import Executor
from asynctasq.contracts.resolver import Resolver
from asynctasq.contracts.serializer import Serializer
from asynctasq.errors import ConfigurationError, PluginBroken, PluginConflict, PluginNotFound
from asynctasq.hookspecs import GROUPS
from asynctasq.plugins.discovery import DisableRules, PluginEntry, installed_offers
from asynctasq.plugins.loading import Plugin, describe, load_plugin
from asynctasq.plugins.missing import framework_missing, is_importable, not_found
from asynctasq.plugins.validation import FACTORIES
from asynctasq.records import record


class PluginState(StrEnum):
    """What can be said of a plugin."""

    AVAILABLE = "available"
    """Installed, and imported when it is selected."""
    LOCAL = "local"
    """Registered by the application."""
    DISABLED = "disabled"
    """Installed, and switched off by `disable_plugins`."""
    CONFLICT = "conflict"
    """Another one has the same kind and name; selecting it is an error."""
    NOT_INSTALLED = "not installed"
    """A resolver whose framework is not there, so that it will never be selected."""
    BROKEN = "broken"
    """Failed when it was checked; selecting it is an error."""


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
    """What the entry point names."""
    api_version: int | None = None
    """Of a driver that was checked."""
    capabilities: tuple[str, ...] | None = None
    """Of a driver that was checked."""
    error: str | None = None
    """Why it is broken or not installed; of one that is not, which settings it cannot do without."""


class PluginRegistry:
    """Finds plugins, loads those that are selected, and keeps them.

    `disabled` is the setting `disable_plugins`: plugin names, `kind:name`, or distributions. It
    concerns installed plugins; those that the application registers are its own business. `changed` is
    told of these.

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

    # What there is; nothing is imported.

    def available(self, kind: str | None = None) -> list[PluginInfo]:
        """Every plugin, disabled and conflicting ones too, without importing any."""
        return [_info(offer, self._state(offer)) for offer in self._offers(kind)]

    def names(self, kind: str) -> list[str]:
        """The names that can be selected, sorted."""
        return sorted({offer.name for offer in self._enabled(kind)})

    def check(self, kind: str | None = None) -> list[PluginInfo]:
        """Every plugin, imported and put to the test with its default settings."""
        return [self._checked(offer) for offer in self._offers(kind)]

    # The ones in use.

    def plugin(self, kind: str, name: str) -> Plugin:
        """A plugin with its hooks, imported at the first call. Raises as `load` does."""
        offer = self._select(kind, name)
        if offer not in self._loaded:
            self._loaded[offer] = load_plugin(offer)
        return self._loaded[offer]

    def load(self, kind: str, name: str) -> object:
        """The module or object behind a name, imported at the first call.

        Raises:
            PluginNotFound: nothing enabled answers to the name.
            PluginConflict: more than one does.
            PluginBroken: it cannot be imported, or its hooks do not fit.
        """
        return self.plugin(kind, name).target

    def settings_class(self, kind: str, name: str) -> type | None:
        """The class of a plugin's settings; None if it takes a plain dict. Raises as `load` does."""
        return self.plugin(kind, name).settings_class()

    def create_driver(self, name: str, settings: object = None) -> Driver:
        """An unopened driver, checked. `settings` are an instance of the plugin's settings class.

        Raises:
            PluginNotFound, PluginConflict, PluginBroken: as `load`; broken is also a factory that
                raises or returns None, or makes what disagrees with the contract.
            ConfigurationError: the plugin refuses the settings.
        """
        driver: Driver = self.plugin("driver", name).create(settings)
        return driver

    def create_serializer(self, name: str, settings: object = None) -> Serializer:
        """A serializer. Raises as `create_driver` does."""
        serializer: Serializer = self.plugin("serializer", name).create(settings)
        return serializer

    def create_executor(self, name: str, settings: object = None) -> Executor:
        """An executor, not started. Raises as `create_driver` does."""
        executor: Executor = self.plugin("executor", name).create(settings)
        return executor

    def create_resolver(self, name: str, settings: object = None) -> Resolver:
        """A model resolver. Raises as `create_driver` does."""
        resolver: Resolver = self.plugin("resolver", name).create(settings)
        return resolver

    def hooks(self) -> list[Plugin]:
        """All plugins of the kind `hook`, loaded: installed ones by name, then local ones.

        Raises:
            PluginConflict, PluginBroken: as `load`.
        """
        return [self.plugin("hook", offer.name) for offer in self._enabled("hook")]

    # The application's own.

    def register(self, plugin: Any, *, kind: str = "hook", name: str | None = None) -> None:
        """Add a plugin of the application: a module or object with functions marked `@hookimpl`.

        An object with observers needs neither kind nor name; any other is selected by both. Observers
        hear of dispatches from now on, and of what workers do that start from now on.

        Raises:
            PluginBroken: its hooks do not fit.
            PluginConflict: it is registered already, or one of the same kind and name is.
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
                    f"The {other.label} is registered already; unregister it first."
                )
        offer = PluginEntry(
            kind=kind,
            name=name,
            value=_describe_object(plugin),
            distribution=None,
            version=None,
            load=lambda: plugin,
        )
        self._loaded[offer] = load_plugin(offer)
        self._local.append((offer, plugin))
        self._tell()

    def unregister(self, plugin: Any) -> None:
        """Take back a `register`.

        Raises:
            PluginNotFound: this object is not registered.
        """
        kept = [(offer, target) for offer, target in self._local if target is not plugin]
        if len(kept) == len(self._local):
            raise PluginNotFound(f"{_describe_object(plugin)} is not registered with this app.")
        for offer, target in self._local:
            if target is plugin:
                self._loaded.pop(offer, None)
        self._local = kept
        self._tell()

    # Within.

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed()

    def _offers(self, kind: str | None) -> list[PluginEntry]:
        if kind is not None:
            _check_kind(kind)
        if self._installed is None:
            self._installed = installed_offers()
            self._rules.warn_of_unused(self._installed)
        everything = [*self._installed, *(offer for offer, _ in self._local)]
        return [offer for offer in everything if kind is None or offer.kind == kind]

    def _enabled(self, kind: str, name: str | None = None) -> list[PluginEntry]:
        return [
            offer
            for offer in self._offers(kind)
            if (name is None or offer.name == name) and self._rules.match(offer) is None
        ]

    def _select(self, kind: str, name: str) -> PluginEntry:
        enabled = self._enabled(kind, name)
        if len(enabled) == 1:
            return enabled[0]
        if enabled:
            raise PluginConflict(_conflict(kind, name, enabled))
        for offer in self._offers(kind):
            if offer.name == name:
                raise PluginNotFound(
                    f"The {offer.label} is disabled by disable_plugins: {self._rules.match(offer)!r}."
                )
        raise PluginNotFound(not_found(kind, name, self.names(kind)))

    def _state(self, offer: PluginEntry) -> PluginState:
        if self._rules.match(offer) is not None:
            return PluginState.DISABLED
        if len(self._enabled(offer.kind, offer.name)) > 1:
            return PluginState.CONFLICT
        return PluginState.LOCAL if offer.distribution is None else PluginState.AVAILABLE

    def _checked(self, offer: PluginEntry) -> PluginInfo:
        state = self._state(offer)
        if state is PluginState.DISABLED:
            return _info(offer, state)
        if state is PluginState.CONFLICT:
            rivals = self._enabled(offer.kind, offer.name)
            return _info(offer, state, error=_conflict(offer.kind, offer.name, rivals))
        if offer.kind == "resolver" and offer.distribution and not is_importable(offer.name):
            return _info(offer, PluginState.NOT_INSTALLED, error=framework_missing(offer.name))
        try:
            plugin = self.plugin(offer.kind, offer.name)
            product: Any = plugin.create() if offer.kind in FACTORIES else None
        except PluginBroken as error:
            return _info(offer, PluginState.BROKEN, error=str(error))
        except ConfigurationError as error:
            return _info(offer, state, error=f"Needs settings: {describe(error)}")
        if offer.kind != "driver":
            return _info(offer, state)
        return _info(
            offer,
            state,
            api_version=product.api_version,
            capabilities=_flag_names(product.capabilities),
        )

    def _free_name(self, plugin: object) -> str:
        base = _describe_object(plugin)
        taken = {offer.name for offer, _ in self._local}
        name, count = base, 2
        while name in taken:
            name, count = f"{base}-{count}", count + 1
        return name


def _check_kind(kind: str) -> None:
    if kind not in GROUPS:
        raise ValueError(
            f"There is no kind of plugin named {kind!r}; kinds are {', '.join(GROUPS)}."
        )


def _info(
    offer: PluginEntry,
    state: PluginState,
    *,
    api_version: int | None = None,
    capabilities: tuple[str, ...] | None = None,
    error: str | None = None,
) -> PluginInfo:
    return PluginInfo(
        kind=offer.kind,
        name=offer.name,
        distribution=offer.distribution,
        version=offer.version,
        state=state,
        value=offer.value,
        api_version=api_version,
        capabilities=capabilities,
        error=error,
    )


def _conflict(kind: str, name: str, rivals: list[PluginEntry]) -> str:
    who = " and ".join(f"{offer.origin} ({offer.value})" for offer in rivals)
    distributions = [offer.distribution for offer in rivals if offer.distribution is not None]
    remedies = " or ".join(f"disable_plugins=[{each!r}]" for each in distributions)
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
