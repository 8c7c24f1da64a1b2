"""Pydantic models, URLs and secrets, which arrive as they were sent: validators do not run again.

This module never imports pydantic: without an earlier import, no instance of its classes exists.
"""

import sys
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Any

from asynctasq.errors import ArgumentsMismatch, BodyCorrupt
from asynctasq.records import record
from asynctasq.serializers.classes import find_class
from asynctasq.serializers.instance_state import (
    ABSENT,
    EXTRA,
    MORE,
    PARAMETERS,
    REBUILD,
    STATE,
    add_state,
    bare,
    is_cached,
    split_fields,
)
from asynctasq.serializers.type_forms import forms_of, parameters_of, parametrized
from asynctasq.serializers.unserializable import brief

_CLASSES_KEPT = 4096
_UNDEFINED = "PydanticUndefinedType"
_set = object.__setattr__  # past frozen models, as pydantic does


def is_model(cls: type) -> bool:
    """Return whether a class is a pydantic model."""
    main = sys.modules.get("pydantic.main")
    return main is not None and issubclass(cls, main.BaseModel)


def named_class(cls: type) -> type:
    """Return the class that a worker finds by its name: for `Page[Item]`, `Page`."""
    generic = parameters_of(cls)
    return cls if generic is None else generic[0]


def model_parts(name: str, value: Any) -> list[Any]:
    """Return the class, the fields, and the names of fields that were set explicitly."""
    cls: Any = type(value)
    layout = _layout(cls)
    fields, parameters = layout.fields, layout.parameters
    held: dict[str, Any] = value.__dict__
    values = held
    more: dict[str, Any] = {}
    if held.keys() != fields:
        values = {key: held[key] for key in held if key in fields or not is_cached(cls, key)}
        if absent := sorted(fields - held.keys()):
            more[ABSENT] = absent
    if extra := getattr(value, "__pydantic_extra__", None):
        hidden = {key: part for key, part in extra.items() if key in held or key == MORE}
        values = {**values, **{key: part for key, part in extra.items() if key not in hidden}}
        if hidden:
            more[EXTRA] = hidden
    if private := getattr(value, "__pydantic_private__", None):
        add_state(more, private)
    if parameters is not None:
        more[PARAMETERS] = parameters
    if more or layout.sets_up:
        values = {**values, MORE: more}
    return [name, values, sorted(value.__pydantic_fields_set__)]


@record
class _Layout:
    """Layout of a model class."""

    fields: frozenset[str]
    allows_extra: bool
    has_post_init: bool
    sets_up: bool
    """True if instances may have attributes beside their fields."""
    has_more_than_root: bool
    """True if instances have extra values and private attributes; instances of root models do not."""
    parameters: list[object] | None
    """The forms of the parameters of the class."""


@lru_cache(maxsize=_CLASSES_KEPT)
def _layout(cls: Any) -> _Layout:
    generic = parameters_of(cls)
    has_post_init = _has_post_init(cls)
    return _Layout(
        fields=frozenset(cls.model_fields),
        allows_extra=cls.model_config.get("extra") == "allow",
        has_post_init=has_post_init,
        sets_up=has_post_init or bool(cls.__private_attributes__),
        has_more_than_root=not cls.__pydantic_root_model__,
        parameters=None if generic is None else forms_of(*generic),
    )


def _has_post_init(cls: Any) -> bool:
    """Return whether the user has written `model_post_init`."""
    function = cls.model_post_init
    base = sys.modules["pydantic.main"].BaseModel.model_post_init
    return function is not base and getattr(function, "__name__", "") != "init_private_attributes"


def build_model(parts: list[Any]) -> object:
    """Return the model of these fields."""
    name, given, fields_set = parts
    cls: Any = find_class(name)
    if not is_model(cls):
        raise BodyCorrupt(f"{name} is not a pydantic model.")
    values, more = split_fields(given)
    if not isinstance(fields_set, list) or not all(isinstance(key, str) for key in fields_set):
        raise BodyCorrupt("The field names of a pydantic model are invalid.")
    if more is not None and PARAMETERS in more:
        cls = parametrized(cls, more[PARAMETERS])
    try:
        return _assembled(cls, name, values, more, set(fields_set))
    except ArgumentsMismatch:
        raise
    except Exception as error:
        raise ArgumentsMismatch(f"Could not create the model {name}: {brief(error)}") from error


def _assembled(
    cls: Any,
    name: str,
    values: dict[str, Any],
    more: dict[str, Any] | None,
    fields_set: set[str],
) -> object:
    layout = _layout(cls)
    inside = values if values.keys() == layout.fields else _matched(cls, name, values, more or {})
    extra = _extra_of(values, layout.fields, more or {}) if layout.allows_extra else None
    instance = bare(cls)
    _set(instance, "__dict__", inside)
    _set(instance, "__pydantic_fields_set__", fields_set)
    if layout.has_more_than_root:
        _set(instance, "__pydantic_extra__", extra)
        _set(instance, "__pydantic_private__", None)
    if layout.sets_up:
        _set_up(instance, layout, more, inside)
    return instance


def _extra_of(
    values: dict[str, Any], fields: frozenset[str], more: Mapping[str, Any]
) -> dict[str, Any]:
    extra = {key: part for key, part in values.items() if key not in fields}
    return {**extra, **more.get(EXTRA, {})}


def _set_up(
    instance: Any, layout: _Layout, more: Mapping[str, Any] | None, values: dict[str, Any]
) -> None:
    """Give an instance its private attributes; its class sets up those that could not be sent."""
    sent: Mapping[str, Any] = {} if more is None else more.get(STATE, {})
    private = _private_of(type(instance), sent, values)
    _set(instance, "__pydantic_private__", private)
    if layout.has_post_init and (more is None or more.get(REBUILD)):  # earlier releases sent none
        extra, fields_set = instance.__pydantic_extra__, instance.__pydantic_fields_set__
        kept = dict(values), None if extra is None else dict(extra), set(fields_set)
        instance.model_post_init(None)
        _set(instance, "__dict__", kept[0])
        _set(instance, "__pydantic_extra__", kept[1])
        _set(instance, "__pydantic_fields_set__", kept[2])
        if private is not None:
            private.update((name, sent[name]) for name in private.keys() & sent.keys())


def _matched(
    cls: Any, name: str, values: Mapping[str, Any], more: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields that the model of this worker has, as another release sent them.

    Raises:
        ArgumentsMismatch: a required field is missing, or one that the model forbids is given.
    """
    fields = cls.model_fields
    inside = {key: part for key, part in values.items() if key in fields}
    if cls.model_config.get("extra") == "forbid":
        unknown = [key for key in values.keys() - fields.keys() if not is_cached(cls, key)]
        if unknown:
            raise ArgumentsMismatch(
                f"The model {name} of this worker has no field {', '.join(sorted(unknown))[:200]}."
            )
    absent = more.get(ABSENT, ())
    for key in fields:
        if key in inside or key in absent:
            continue
        if fields[key].is_required():
            raise ArgumentsMismatch(
                f"The message has no field {key} for the model {name} of this worker."
            )
        inside[key] = _default(fields[key], inside)
    return inside


def _private_of(
    cls: Any, sent: Mapping[str, Any], values: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the private attributes: those that were sent, and the defaults of the others."""
    attributes = cls.__private_attributes__
    if not attributes:
        return None
    private: dict[str, Any] = {}
    for name, attribute in attributes.items():
        if name in sent:
            private[name] = sent[name]
            continue
        default = _default(attribute, {**values, **private})
        if type(default).__name__ != _UNDEFINED:
            private[name] = default
    return private


def _default(field: Any, values: Mapping[str, Any]) -> object:
    """Return the default of a field or private attribute; their methods differ between releases."""
    factory = field.default_factory
    if factory is None:
        return deepcopy(field.default)
    if getattr(field, "default_factory_takes_validated_data", False):
        return factory(dict(values))
    return factory()


# URLs are built from their text.


def is_url(cls: type) -> bool:
    """Return whether a class is one of pydantic's URLs."""
    return cls.__module__.startswith("pydantic") and callable(getattr(cls, "unicode_string", None))


def url_parts(name: str, value: Any) -> list[Any]:
    """Return the class and the text."""
    return [name, str(value)]


def build_url(parts: list[Any]) -> object:
    """Return the URL of that text."""
    name, text = parts
    cls = find_class(name)
    if not is_url(cls):
        raise BodyCorrupt(f"{name} is not a URL of pydantic.")
    try:
        return cls(text)
    except (TypeError, ValueError) as error:
        raise ArgumentsMismatch(f"Could not create the {name}: {brief(error)}") from error


# Secrets are encoded in clear text, like all arguments, and arrive as secrets.


def _secret_base(cls: type) -> Any:
    found = sys.modules.get("pydantic.types")
    for name in ("SecretStr", "SecretBytes", "Secret"):
        base = getattr(found, name, None)
        if isinstance(base, type) and issubclass(cls, base):
            return base
    return None


def is_secret(cls: type) -> bool:
    """Return whether a class is one of pydantic's secrets."""
    return _secret_base(cls) is not None


def secret_parts(name: str, value: Any) -> list[Any]:
    """Return the class and the value."""
    return [name, value.get_secret_value()]


def build_secret(parts: list[Any]) -> object:
    """Return the secret of that value."""
    name, value = parts
    cls: Any = find_class(name)
    base = _secret_base(cls)
    wanted = {"SecretStr": str, "SecretBytes": bytes}.get(base.__name__, object) if base else None
    if wanted is None or not isinstance(value, wanted):
        raise BodyCorrupt("The class or the value of a secret is invalid.")
    instance = bare(cls)
    base.__init__(instance, value)
    return instance
