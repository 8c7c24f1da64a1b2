"""Dataclasses, which arrive as they were sent, without calls of `__init__` and `__post_init__`.

A `__post_init__` would change the fields twice, and check them at another time. The class is called only
if the sender could not send all attributes of the instance, or knew other fields. The fields get the
values that were sent in this case too.
"""

import dataclasses
import inspect
from collections import deque
from functools import lru_cache
from types import MemberDescriptorType
from typing import Any

from asynctasq.errors import ArgumentsMismatch, BodyCorrupt
from asynctasq.serializers.base_types import slots_of
from asynctasq.serializers.classes import find_class
from asynctasq.serializers.instance_state import (
    ABSENT,
    MORE,
    REBUILD,
    STATE,
    add_state,
    bare,
    is_cached,
    is_special,
    split_fields,
)
from asynctasq.serializers.unserializable import Unserializable, brief, one_of

_CLASSES_KEPT = 4096
_BUILT_IN = (dict, list, tuple, set, frozenset, deque, int, float, str, bytes)
_UNSET = object()


def require_fields_only(cls: Any) -> None:
    """Check that a dataclass is not also a container or scalar.

    Raises:
        Unserializable: the dataclass is one of these.
    """
    if issubclass(cls, _BUILT_IN):
        raise Unserializable(
            f"is {one_of(cls)}, a dataclass that holds more than its fields. Register the type "
            "with asynctasq.register_type."
        )


def dataclass_parts(name: str, value: Any) -> list[Any]:
    """Return the class, the fields and the other attributes of an instance."""
    cls: Any = type(value)
    names, slots, has_post_init = _layout(cls)
    fields = {
        field: part for field in names if (part := getattr(value, field, _UNSET)) is not _UNSET
    }
    held: dict[str, Any] = getattr(value, "__dict__", {})
    is_plain = not has_post_init and not slots and len(fields) == len(names)
    if is_plain and held.keys() <= fields.keys():
        return [name, fields]
    more: dict[str, Any] = {}
    state = {
        attribute: part
        for attribute, part in held.items()
        if attribute not in fields and not is_special(attribute) and not is_cached(cls, attribute)
    }
    state.update(
        (slot, part) for slot in slots if (part := getattr(value, slot, _UNSET)) is not _UNSET
    )
    add_state(more, state)
    if more.get(REBUILD):
        _require_constructible(cls)
    if len(fields) < len(names):
        more[ABSENT] = [field for field in names if field not in fields]
    if more or has_post_init:
        fields[MORE] = more
    return [name, fields]


@lru_cache(maxsize=_CLASSES_KEPT)
def _layout(cls: Any) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """Return the fields of a dataclass, its other slots, and whether it sets itself up."""
    names = tuple(field.name for field in dataclasses.fields(cls))
    slots = tuple(slot for slot in slots_of(cls) if slot not in names and not is_special(slot))
    return names, slots, hasattr(cls, "__post_init__")


@lru_cache(maxsize=_CLASSES_KEPT)
def _descriptors_of(cls: type) -> frozenset[str]:
    """Return the attributes whose assignment runs code of the class, such as properties."""
    return frozenset(
        name
        for owner in cls.__mro__
        for name, value in vars(owner).items()
        if hasattr(type(value), "__set__") and not isinstance(value, MemberDescriptorType)
    )


def _require_constructible(cls: Any) -> None:
    if not _has_init(cls):
        return
    wanted = {field.name: None for field in dataclasses.fields(cls) if field.init}
    try:
        inspect.signature(cls).bind(**wanted)
    except (TypeError, ValueError) as error:
        raise Unserializable(
            f"is {one_of(cls)}, a dataclass with attributes that cannot be sent, and that cannot be "
            f"made from its fields alone ({error}). Register the type with asynctasq.register_type."
        ) from error


def _has_init(cls: type) -> bool:
    parameters = getattr(cls, "__dataclass_params__", None)
    return bool(getattr(parameters, "init", True))


def build_dataclass(parts: list[Any]) -> object:
    """Return an instance with these fields; those that are missing take their defaults."""
    name, given = parts
    cls: Any = find_class(name)
    if not dataclasses.is_dataclass(cls):
        raise BodyCorrupt(f"{name} is not a dataclass.")
    values, said = split_fields(given)
    known: Any = cls
    names, _, has_post_init = _layout(known)
    if unknown := values.keys() - set(names):
        raise ArgumentsMismatch(
            f"The dataclass {name} of this worker has no field {', '.join(sorted(unknown))[:200]}."
        )
    # Earlier releases stored no attributes.
    more: dict[str, Any] = {REBUILD: has_post_init} if said is None else said
    is_whole = values.keys() | set(more.get(ABSENT, ())) == set(names)
    try:
        instance = bare(cls) if is_whole and not more.get(REBUILD) else _constructed(cls, values)
        descriptors = _descriptors_of(known)
        for key, part in (*values.items(), *more.get(STATE, {}).items()):
            if key not in descriptors or getattr(instance, key, _UNSET) is not part:
                object.__setattr__(instance, key, part)
    except Exception as error:
        raise ArgumentsMismatch(f"Could not create the dataclass {name}: {brief(error)}") from error
    return instance


def _constructed(cls: Any, values: dict[str, Any]) -> Any:
    if not _has_init(cls):
        return bare(cls)
    init = {field.name for field in dataclasses.fields(cls) if field.init}
    return cls(**{key: part for key, part in values.items() if key in init})
