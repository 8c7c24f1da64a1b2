"""Instances of classes: enums, dataclasses, pydantic models, named tuples, subclasses of scalars.

They travel as the name of their class and their parts. A name in a body can make a worker construct
an instance of such a class and nothing else: each builder checks what kind of class it was given.
"""

import dataclasses
import enum
import inspect
import io
import sys
import types
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

from asynctasq.errors import ArgumentsMismatch, BodyCorrupt
from asynctasq.serializers.classes import class_name, find_class
from asynctasq.serializers.unserializable import Unserializable, brief, one_of

_CLASSES_KEPT = 4096


class Structure(enum.Enum):
    """What a class is, for the purpose of taking its instances apart."""

    ENUM = enum.auto()
    FLAG = enum.auto()
    DATACLASS = enum.auto()
    PYDANTIC = enum.auto()
    NAMEDTUPLE = enum.auto()
    SCALAR = enum.auto()
    URL = enum.auto()


@lru_cache(maxsize=_CLASSES_KEPT)
def structure_of(cls: type) -> tuple[Structure, str]:
    """What a class is, and the name by which a worker finds it.

    Raises:
        Unserializable: its instances cannot travel.
    """
    if issubclass(cls, enum.Enum):
        structure = Structure.FLAG if issubclass(cls, enum.Flag) else Structure.ENUM
    elif dataclasses.is_dataclass(cls):
        _require_constructible(cls)
        structure = Structure.DATACLASS
    elif _is_pydantic_model(cls):
        structure = Structure.PYDANTIC
    elif _is_pydantic_url(cls):
        structure = Structure.URL
    elif _is_namedtuple(cls):
        structure = Structure.NAMEDTUPLE
    elif _scalar_base(cls) is not None:
        structure = Structure.SCALAR
    else:
        raise Unserializable(f"is {one_of(cls)}, which cannot be sent to a worker. {_advice(cls)}")
    return structure, class_name(cls)


def _advice(cls: type) -> str:
    if issubclass(cls, types.FunctionType | types.BuiltinFunctionType | types.MethodType):
        return "Pass the name of what to do, and look it up in the task."
    if issubclass(cls, io.IOBase):
        return "Pass its path, and open it in the task."
    if issubclass(cls, types.CoroutineType | types.AsyncGeneratorType | Awaitable | AsyncIterator):
        return "Await it first, and pass what comes out."
    if issubclass(cls, types.GeneratorType | Iterator):
        return "Pass list(...) of it."
    if issubclass(cls, memoryview):
        return "Pass bytes(...) of it."
    if issubclass(cls, defaultdict | types.MappingProxyType):
        return "Pass dict(...) of it."
    if issubclass(cls, type):
        return "Pass its name."
    for base in _BUILT_IN:
        if issubclass(cls, base):
            return f"Pass {base.__name__}(...) of it, or register the type with asynctasq.register_type."
    return "Pass plain data, or register the type with asynctasq.register_type."


def _fields_of(value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise BodyCorrupt("The fields of an instance are missing.")
    return value


# Enums travel by the name of the member; flags, whose combinations have none, by value.


def enum_parts(name: str, value: enum.Enum) -> list[Any]:
    """Class and member."""
    return [name, value._name_]


def flag_parts(name: str, value: enum.Flag) -> list[Any]:
    """Class and value."""
    return [name, int(value._value_)]


def build_enum(parts: list[Any]) -> enum.Enum:
    """The member of that name."""
    name, member = parts
    cls = find_class(name)
    if not issubclass(cls, enum.Enum):
        raise BodyCorrupt(f"{name} is not an Enum.")
    found = cls.__members__.get(member)
    if found is None:
        raise ArgumentsMismatch(
            f"The enum {name} of this worker has no member {str(member)[:200]!r}."
        )
    return found


def build_flag(parts: list[Any]) -> enum.Flag:
    """The combination of that value."""
    name, value = parts
    cls = find_class(name)
    if not issubclass(cls, enum.Flag) or type(value) is not int:
        raise BodyCorrupt(f"{name} is not a Flag.")
    found: object = None
    with suppress(ValueError):
        found = cls(value)
    if not isinstance(found, cls) or found._value_ != value:  # some Pythons drop unknown bits
        raise ArgumentsMismatch(f"The flag {name} of this worker has no value {value}.")
    return found


# Dataclasses are constructed by a call, so that what `__post_init__` sets up beside the fields is
# there; then each field is given the value that it had.


_BUILT_IN = (dict, list, tuple, set, frozenset, deque, int, float, str, bytes)


def _require_constructible(cls: Any) -> None:
    if issubclass(cls, _BUILT_IN):
        raise Unserializable(
            f"is {one_of(cls)}, a dataclass that holds more than its fields. Register the type "
            "with asynctasq.register_type."
        )
    if not _has_init(cls):
        return
    wanted = {field.name: None for field in dataclasses.fields(cls) if field.init}
    try:
        inspect.signature(cls).bind(**wanted)
    except (TypeError, ValueError) as error:
        raise Unserializable(
            f"is {one_of(cls)}, a dataclass that cannot be made from its fields alone "
            f"({error}). Register the type with asynctasq.register_type."
        ) from error


def _has_init(cls: type) -> bool:
    parameters = getattr(cls, "__dataclass_params__", None)
    return bool(getattr(parameters, "init", True))


def dataclass_parts(name: str, value: Any) -> list[Any]:
    """Class and fields; a field that was never set is left out."""
    fields = dataclasses.fields(value)
    return [name, {f.name: getattr(value, f.name) for f in fields if hasattr(value, f.name)}]


def build_dataclass(parts: list[Any]) -> object:
    """An instance with these fields; those that are missing take their defaults."""
    name, values = parts
    cls = find_class(name)
    if not dataclasses.is_dataclass(cls):
        raise BodyCorrupt(f"{name} is not a dataclass.")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = _fields_of(values).keys() - fields.keys()
    if unknown:
        raise ArgumentsMismatch(
            f"The dataclass {name} of this worker has no field {', '.join(sorted(unknown))[:200]}."
        )
    try:
        if _has_init(cls):
            instance = cls(**{key: part for key, part in values.items() if fields[key].init})
        else:
            instance = cls.__new__(cls)
        for key, part in values.items():
            if getattr(instance, key, _UNSET) is not part:
                object.__setattr__(instance, key, part)
    except Exception as error:
        raise ArgumentsMismatch(f"The dataclass {name} cannot be made: {brief(error)}") from error
    return instance


_UNSET = object()


# Pydantic models are validated again, from their fields as they were. Private attributes start anew.


def _is_pydantic_model(cls: type) -> bool:
    """Whether it is one; without importing pydantic, as an instance cannot exist otherwise."""
    main = sys.modules.get("pydantic.main")
    return main is not None and issubclass(cls, main.BaseModel)


def pydantic_parts(name: str, value: Any) -> list[Any]:
    """Class, fields and which of them were given rather than defaulted."""
    extra: Mapping[str, Any] = value.__pydantic_extra__ or {}
    return [name, {**value.__dict__, **extra}, sorted(value.__pydantic_fields_set__)]


def build_pydantic(parts: list[Any]) -> object:
    """The model of these fields."""
    name, values, given = parts
    cls = find_class(name)
    if not _is_pydantic_model(cls):
        raise BodyCorrupt(f"{name} is not a pydantic model.")
    model: Any = cls
    fields = _fields_of(values)
    try:
        if getattr(model, "__pydantic_root_model__", False):
            instance = model.model_validate(fields["root"])
        elif _validates_by_name(model):
            instance = model.model_validate(fields, by_alias=False, by_name=True)
        else:
            instance = model.model_validate(_aliased(model, fields))
        object.__setattr__(instance, "__pydantic_fields_set__", set(given))
    except Exception as error:
        raise ArgumentsMismatch(f"The model {name} cannot be made: {brief(error)}") from error
    return instance


@lru_cache(maxsize=_CLASSES_KEPT)
def _validates_by_name(model: Any) -> bool:
    """Pydantic does from 2.11 on; before, a field with an alias went by that only."""
    return "by_name" in inspect.signature(model.model_validate).parameters


def _aliased(model: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    known = model.model_fields
    return {
        alias
        if key in known and isinstance(alias := known[key].validation_alias, str)
        else key: part
        for key, part in fields.items()
    }


# The URL types of pydantic, which its models are full of, are made from their text.


def _is_pydantic_url(cls: type) -> bool:
    return cls.__module__.startswith("pydantic") and callable(getattr(cls, "unicode_string", None))


def url_parts(name: str, value: Any) -> list[Any]:
    """Class and text."""
    return [name, str(value)]


def build_url(parts: list[Any]) -> object:
    """The URL of that text."""
    name, text = parts
    cls = find_class(name)
    if not _is_pydantic_url(cls):
        raise BodyCorrupt(f"{name} is not a URL of pydantic.")
    try:
        return cls(text)
    except (TypeError, ValueError) as error:
        raise ArgumentsMismatch(f"The {name} cannot be made: {brief(error)}") from error


# Named tuples, and subclasses of int, float, str and bytes without attributes, are made by the
# constructor of the base, which runs none of their code.


def _is_namedtuple(cls: type) -> bool:
    return issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)


def namedtuple_parts(name: str, value: tuple[Any, ...]) -> list[Any]:
    """Class and items."""
    return [name, *value]


def build_namedtuple(parts: list[Any]) -> object:
    """The named tuple of these items."""
    name, *items = parts
    cls: Any = find_class(name)
    if not _is_namedtuple(cls):
        raise BodyCorrupt(f"{name} is not a named tuple.")
    if len(items) != len(cls._fields):
        raise ArgumentsMismatch(
            f"The named tuple {name} of this worker has {len(cls._fields)} fields, not {len(items)}."
        )
    return tuple.__new__(cls, items)


_SCALARS: Mapping[type, Callable[[Any], object]] = {
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    bytes: bytes.__bytes__,
}


def _scalar_base(cls: type) -> type | None:
    for base in _SCALARS:
        if issubclass(cls, base):
            try:
                _new_scalar(cls, base())
            except TypeError:
                return None  # a type in C that insists on a constructor of its own
            return base
    return None


def _new_scalar(cls: type, value: Any) -> object:
    new: Callable[..., object] = type(value).__new__
    return new(cls, value)


def scalar_parts(name: str, value: Any) -> list[Any]:
    """Class and plain value."""
    if getattr(value, "__dict__", None):
        cls: type = type(value)
        raise Unserializable(
            f"is {one_of(cls)} with attributes, which would be lost. {_advice(cls)}"
        )
    for base, plain in _SCALARS.items():
        if isinstance(value, base):
            return [name, plain(value)]
    raise Unserializable(f"is {one_of(type(value))}")


def build_scalar(parts: list[Any]) -> object:
    """The value as an instance of its class."""
    name, value = parts
    cls = find_class(name)
    base = type(value)
    if base not in _SCALARS or not issubclass(cls, base) or issubclass(cls, enum.Enum):
        raise BodyCorrupt(f"{name} is not a class of such values.")
    try:
        return _new_scalar(cls, value)
    except TypeError as error:
        raise ArgumentsMismatch(f"{name} cannot be made: {brief(error)}") from error


def build_bytearray(parts: list[Any]) -> bytearray:
    """The bytes, changeable."""
    (value,) = parts
    if not isinstance(value, bytes):
        raise BodyCorrupt("A bytearray has no bytes.")
    return bytearray(value)
