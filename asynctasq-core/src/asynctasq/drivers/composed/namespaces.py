"""The namespaces of a queue and of its state store, which must be the same."""

from asynctasq.config import url_scheme
from asynctasq.contracts.driver import Driver
from asynctasq.errors import ConfigurationError

_DEFAULT = "asynctasq"


def namespace_of(driver: Driver) -> str | None:
    """Return the namespace of a driver; None if it has none that it could share with other drivers."""
    for holder in (driver, getattr(driver, "settings", None)):
        found = getattr(holder, "namespace", None)
        if isinstance(found, str):
            return found
    return None


def check_namespaces(queue: Driver, state: Driver, *, driver: object, chosen: object) -> None:
    """Check that a queue and its state store have the same namespace.

    Two applications may share a state store although their queues differ. Without this check, a worker of one would
    take the messages that the other keeps in the state store.

    Args:
        queue: unopened.
        state: unopened.
        driver: the setting `driver`, of which `queue` was made.
        chosen: the setting `state`, of which `state` was made.

    Raises:
        ConfigurationError: the namespaces differ. The error names the setting to add.
    """
    own, other = namespace_of(queue), namespace_of(state)
    if own is None or other is None or own == other:
        return
    is_queue = own == _DEFAULT
    remedy = _remedy("driver", driver, other) if is_queue else _remedy("state", chosen, own)
    raise ConfigurationError(
        f"The queue and its state store must have the same namespace, got {own!r} for the queue "
        f"({_name_of(driver)}) and {other!r} for the state store ({_name_of(chosen)}). {remedy}"
    )


def _name_of(chosen: object) -> str:
    if isinstance(chosen, str):
        return url_scheme(chosen) or chosen
    return type(chosen).__qualname__


def _remedy(setting: str, chosen: object, namespace: str) -> str:
    name = _name_of(chosen)
    if not isinstance(chosen, str):
        return f"Pass namespace={namespace!r} to {name}."
    variable = f"{name}.namespace = {namespace!r}"
    if url_scheme(chosen) is None:
        return f"Set {variable}."
    if "namespace=" in chosen:
        return f"Change the namespace in the URL in `{setting}` to {namespace!r}."
    sign = "&" if "?" in chosen else "?"
    return f"Set {variable}, or append {sign}namespace={namespace} to the URL in `{setting}`."
