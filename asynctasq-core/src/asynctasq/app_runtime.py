"""The parts that are made from an app's settings; the app and its workers share them."""

from collections.abc import Mapping
from typing import cast

from asynctasq.config import Settings, load_settings, url_scheme
from asynctasq.config.early import disabled_plugins
from asynctasq.contracts.capabilities.transactions import TransactionAdapter
from asynctasq.contracts.driver import Driver
from asynctasq.contracts.resolver import Resolver
from asynctasq.contracts.serializer import Serializer
from asynctasq.hookspecs import GROUPS
from asynctasq.plugins import PluginRegistry, check_driver, check_product
from asynctasq.plugins.observers import Observers
from asynctasq.resolvers import Resolvers
from asynctasq.serializers.codec import Codec
from asynctasq.tasks.options import ResolvedOptions, default_options
from asynctasq.transaction_adapters import TransactionAdapters


class Runtime:
    """Settings, plugins, serializers, resolvers and observers of one app.

    Attributes:
        arguments: the settings that were passed to the app.
        overrides: settings that take precedence over all others: those of a command line.
        settings: the settings in effect.
        plugins: the plugins that are installed, and those that the application registers.
        resolvers: the model resolvers, which are made when they are first needed.
        transactions: the adapters of transactions, which are made when they are first needed.
        codec: encodes and decodes arguments and results.
        defaults: the options of a task that sets none.
        bound_observers: the observers, if `observers` has bound them.
    """

    settings: Settings
    codec: Codec
    defaults: ResolvedOptions

    def __init__(self, arguments: Mapping[str, object]) -> None:
        """Load the settings.

        Raises:
            ConfigurationError: a setting is wrong; all problems are in one error.
            PluginError: the plugin of the serializer cannot be used.
        """
        self.arguments = dict(arguments)
        self.overrides: dict[str, object] = {}
        self.plugins = PluginRegistry(
            disabled=disabled_plugins(self.arguments), changed=self._forget_observers
        )
        self.resolvers = Resolvers(lambda: self.plugins.names("resolver"), self._make_resolver)
        self.transactions = TransactionAdapters(
            lambda: self.plugins.names("transaction"), self._make_adapter
        )
        self.bound_observers: Observers | None = None
        self._serializers: dict[str, Serializer] = {}
        self._configure()

    def override(self, settings: Mapping[str, object]) -> None:
        """Add settings that take precedence over all others. Raises as the constructor does."""
        self.overrides |= settings
        self.bound_observers = None
        self._configure()

    def _configure(self) -> None:
        self.settings = self._load(self.arguments, self.overrides)
        self._serializers = self._given_serializer()
        self.codec = self.codec_with(self.settings.serializer)
        self.defaults = default_options(self.settings)

    def codec_with(self, serializer: str) -> Codec:
        """Return a codec whose results are written by that serializer.

        Raises:
            PluginError: the plugin of the serializer cannot be used.
        """
        return Codec(
            self.serializer(serializer),
            find_serializer=self.serializer,
            resolvers=self.resolvers,
            max_message_bytes=self.settings.max_message_bytes,
        )

    def serializer(self, name: str) -> Serializer:
        """Return the serializer of that name, which is made once.

        Raises:
            PluginError: the plugin is missing or broken.
        """
        found = self._serializers.get(name)
        if found is None:
            found = self.plugins.create_serializer(name, self.settings.plugin(name))
            self._serializers[name] = found
        return found

    @property
    def observers(self) -> Observers:
        """The hooks of all plugins, which are bound once, and again when a plugin is registered.

        Raises:
            PluginError: a plugin is broken.
        """
        if self.bound_observers is None:
            self.bound_observers = Observers(self.plugins.hooks())
        return self.bound_observers

    def make_driver(self, chosen: object) -> Driver:
        """Return the unopened driver that was chosen by name, by URL or as an instance.

        The app's own driver is composed with its state store, if the app has one.

        Raises:
            ConfigurationError: the driver cannot be composed with a state store, or has another namespace.
            PluginError: the plugin of the driver cannot be used.
        """
        driver, state = self._driver_alone(chosen), self.settings.state
        if state is None or chosen != self.settings.driver:
            return driver
        from asynctasq.drivers.composed import check_namespaces, compose

        store = self._driver_alone(state)
        composed = compose(driver, store)
        check_namespaces(driver, store, driver=chosen, chosen=state)
        return composed

    def _driver_alone(self, chosen: object) -> Driver:
        if not isinstance(chosen, str):
            check_driver(chosen)
            return cast("Driver", chosen)
        scheme = url_scheme(chosen)
        name = scheme or chosen
        settings = self.settings
        if scheme and chosen != settings.driver:
            overrides = {key: value for key, value in self.overrides.items() if key != "driver"}
            settings = self._load({**self.arguments, "driver": chosen}, overrides)
        return self.plugins.create_driver(name, settings.plugin(name))

    def _given_serializer(self) -> dict[str, Serializer]:
        """Return the serializer that was passed as an instance, by its name."""
        instance = self.settings.serializer_instance
        if instance is None:
            return {}
        name = self.settings.serializer
        check_product("serializer", name, instance)
        return {name: cast("Serializer", instance)}

    def _make_resolver(self, name: str) -> Resolver:
        return self.plugins.create_resolver(name, self.settings.plugin(name))

    def _make_adapter(self, name: str) -> TransactionAdapter:
        return self.plugins.create_transaction_adapter(name, self.settings.plugin(name))

    def _forget_observers(self) -> None:
        self.bound_observers = None

    def _load(self, arguments: Mapping[str, object], overrides: Mapping[str, object]) -> Settings:
        return load_settings(
            arguments,
            command_line=overrides,
            settings_class=self._settings_class,
            known_plugins={name for kind in GROUPS for name in self.plugins.names(kind)},
        )

    def _settings_class(self, name: str) -> type | None:
        for kind in GROUPS:
            if name in self.plugins.names(kind):
                return self.plugins.settings_class(kind, name)
        return None
