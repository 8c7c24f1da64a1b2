"""Error messages for plugins that are selected but not installed."""

import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib.util import find_spec

from asynctasq.hookspecs import PROJECT

# Names and URL schemes that people type, to the extra that installs the plugin.
OFFICIAL: Mapping[str, Mapping[str, str]] = {
    "driver": {
        "postgres": "postgres",
        "postgresql": "postgres",
        "mysql": "mysql",
        "mariadb": "mysql",
        "redis": "redis",
        "rediss": "redis",
        "valkey": "redis",
        "valkeys": "redis",
        "unix": "redis",
        "redis+sentinel": "redis",
        "rediss+sentinel": "redis",
        "redis+cluster": "redis",
        "rediss+cluster": "redis",
        "rabbitmq": "rabbitmq",
        "amqp": "rabbitmq",
        "amqps": "rabbitmq",
        "sqs": "sqs",
    },
    "resolver": {"sqlalchemy": "sqlalchemy", "django": "django", "tortoise": "tortoise"},
}
OBJECTS_IN_SETTINGS = frozenset({"driver", "serializer"})
"""Kinds that the settings choose, by a name or with an object."""


def not_found(kind: str, name: str, installed: Sequence[str]) -> str:
    """Return the message of `PluginNotFound`."""
    official = OFFICIAL.get(kind, {})
    parts = [
        f"No {kind} plugin named {name!r} is installed; "
        + (f"installed: {', '.join(installed)}." if installed else "none is."),
    ]
    known = [*installed, *official]
    nearest = name if name in known else _nearest(name, known)
    if nearest is not None and nearest != name:
        parts.append(f"Did you mean {nearest!r}?")
    if nearest is not None and nearest in official and nearest not in installed:
        parts.append(f"To install it: pip install '{PROJECT}[{official[nearest]}]'")
    if nearest is None and kind in OBJECTS_IN_SETTINGS:
        parts.append(
            f"To use a {kind} of your application, pass an instance of it as the setting {kind!r}."
        )
    return " ".join(parts)


def is_importable(module: str) -> bool:
    """Return whether a top-level module is installed, without importing it."""
    return module in sys.modules or find_spec(module) is not None


def framework_missing(name: str) -> str:
    """Return the message for a resolver whose framework is not installed."""
    extra = OFFICIAL["resolver"].get(name)
    how = "" if extra is None else f": pip install '{PROJECT}[{extra}]'"
    return f"{name} is not installed{how}"


def _nearest(name: str, names: Sequence[str]) -> str | None:
    return next(iter(get_close_matches(name, names, n=1)), None)
