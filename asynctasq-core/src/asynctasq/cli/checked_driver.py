"""The driver that `asynctasq drivers check` checks: in a namespace of its own."""

import dataclasses
from typing import TYPE_CHECKING, Any

from asynctasq.errors import ConfigurationError

if TYPE_CHECKING:
    from asynctasq.contracts.driver import Driver


def driver_to_check(driver: str, state: str | None, *, yes: bool, crowded: bool) -> "Driver":
    """Make an unopened driver for a new namespace, composed with a state store if one is given.

    Raises:
        ConfigurationError: the driver has no namespaces, or cannot be composed.
    """
    made = _in_new_namespace(driver, yes=yes, crowded=crowded)
    if state is None:
        return made
    from asynctasq.drivers.composed import compose

    return compose(made, _in_new_namespace(state, yes=yes, crowded=crowded))


def _in_new_namespace(driver: str, *, yes: bool, crowded: bool) -> "Driver":
    from asynctasq.app import App
    from asynctasq.conformance.harness import random_name

    app = App({"driver": driver, "state": None})
    name = app.settings.driver_name
    settings: Any = app.settings.plugin(name)
    namespace = random_name("check")
    if dataclasses.is_dataclass(settings) and hasattr(settings, "namespace"):
        settings = dataclasses.replace(settings, namespace=namespace)  # type: ignore[type-var]  # an instance
    elif crowded:
        raise ConfigurationError(
            f"--crowded needs a second namespace, but the driver {name!r} has no setting `namespace`."
        )
    elif not yes:
        raise ConfigurationError(
            f"The driver {name!r} has no setting `namespace`, so the checks would work on the messages "
            f"in this store and shift its clock. If the store holds nothing of value, pass --yes."
        )
    return app.plugins.create_driver(name, settings)
