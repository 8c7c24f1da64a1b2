"""Attributes of instances beside their fields, and their encoding.

The fields of an instance are encoded as a dict by name. For further attributes, the dict has an entry under
the empty name, which no field can have: a dict with some of the keys below. A release that does not know this
entry treats it as an unknown field, and releases the message.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from asynctasq.errors import ArgumentsMismatch, BodyCorrupt

MORE = ""
"""Name of the entry."""
STATE = "state"
"""Attributes that are not fields."""
ABSENT = "absent"
"""Fields that the instance does not have."""
REBUILD = "rebuild"
"""Some attributes could not be encoded: the class has to set them up again."""
EXTRA = "extra"
"""Extra values of a pydantic model that have the name of a field."""
PARAMETERS = "parameters"
"""The parameters of a generic model."""

_KNOWN = frozenset({STATE, ABSENT, REBUILD, EXTRA, PARAMETERS})


def split_fields(value: object) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the fields of an instance, and the entry for further attributes; None if it is absent.

    Raises:
        BodyCorrupt: the data are not fields.
        ArgumentsMismatch: a later release wrote them.
    """
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise BodyCorrupt("The fields of an instance are missing.")
    if MORE not in value:
        return value, None
    fields = {key: part for key, part in value.items() if key != MORE}
    more = value[MORE]
    if not isinstance(more, dict):
        raise BodyCorrupt("The attributes of an instance are missing.")
    if unknown := more.keys() - _KNOWN:
        raise ArgumentsMismatch(
            f"An instance has {', '.join(map(repr, unknown))[:100]}, which this release does not know."
        )
    for key in (STATE, EXTRA):
        if not _is_state(more.get(key, {})):
            raise BodyCorrupt("The attributes of an instance are invalid.")
    absent = more.get(ABSENT, [])
    if not isinstance(absent, list) or not all(isinstance(name, str) for name in absent):
        raise BodyCorrupt("The list of absent fields of an instance is invalid.")
    return fields, more


def _is_state(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and not is_special(name) for name in value
    )


def is_special(name: str) -> bool:
    """Return whether Python gives an attribute of that name a meaning."""
    return name.startswith("__") and name.endswith("__")


def add_state(more: dict[str, Any], state: Mapping[str, object]) -> None:
    """Add the attributes that can be encoded; the class has to set up the others again."""
    from asynctasq.serializers.value_path import travels

    sendable = {name: value for name, value in state.items() if travels(value)}
    if sendable:
        more[STATE] = sendable
    if len(sendable) < len(state):
        more[REBUILD] = True


def is_cached(cls: type, name: str) -> bool:
    """Return whether an attribute is a cached property, which is computed again when needed."""
    return any(isinstance(vars(owner).get(name), cached_property) for owner in cls.__mro__)


def bare(cls: Any) -> Any:
    """Return an instance without attributes; code of the class runs only if it must."""
    try:
        return object.__new__(cls)
    except TypeError:  # a type in C below it, such as Exception
        return cls.__new__(cls)
