"""Instances of classes: enums, dataclasses, pydantic models, named tuples, subclasses of scalars.

They are encoded as the name of their class and their parts. A name in a body can only make a worker create
an instance of such a class: each builder checks the kind of its class.
"""

import dataclasses
import enum
import io
import types
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, cast

from asynctasq.errors import ArgumentsMismatch, BodyCorrupt
from asynctasq.serializers.base_types import as_base, base_of, slots_in
from asynctasq.serializers.classes import class_name, find_class
from asynctasq.serializers.dataclass_types import require_fields_only
from asynctasq.serializers.instance_state import is_cached
from asynctasq.serializers.pydantic_types import is_model, is_secret, is_url, named_class
from asynctasq.serializers.unserializable import Unserializable, brief, one_of

_CLASSES_KEPT = 4096


class Structure(enum.Enum):
    """The kind of a class, which decides how its instances are encoded."""

    ENUM = enum.auto()
    FLAG = enum.auto()
    DATACLASS = enum.auto()
    PYDANTIC = enum.auto()
    NAMEDTUPLE = enum.auto()
    SCALAR = enum.auto()
    URL = enum.auto()
    SECRET = enum.auto()
    BASE = enum.auto()
    """A subclass that is encoded as its base class."""


@lru_cache(maxsize=_CLASSES_KEPT)
def structure_of(cls: Any) -> tuple[Structure, str]:
    """Return the kind of a class, and the name by which a worker finds it.

    Raises:
        Unserializable: its instances are not supported.
    """
    if issubclass(cls, enum.Enum):
        structure = Structure.FLAG if issubclass(cls, enum.Flag) else Structure.ENUM
    elif dataclasses.is_dataclass(cls):
        require_fields_only(cls)
        structure = Structure.DATACLASS
    elif is_model(cls):
        structure = Structure.PYDANTIC
    elif is_url(cls):
        structure = Structure.URL
    elif is_secret(cls):
        structure = Structure.SECRET
    elif _is_namedtuple(cls):
        structure = Structure.NAMEDTUPLE
    elif _scalar_base(cls) is not None:
        structure = Structure.SCALAR
    elif base_of(cls) is not None:
        return Structure.BASE, ""
    else:
        raise Unserializable(f"is {one_of(cls)}, which cannot be sent to a worker. {_advice(cls)}")
    return structure, class_name(named_class(cast("type", cls)))


def _advice(cls: Any) -> str:
    if issubclass(cls, types.FunctionType | types.BuiltinFunctionType | types.MethodType):
        return "Pass a name, and look the function up in the task."
    if issubclass(cls, io.IOBase):
        return "Pass its path, and open it in the task."
    if issubclass(cls, types.CoroutineType | types.AsyncGeneratorType | Awaitable | AsyncIterator):
        return "Await it first, and pass its result."
    if issubclass(cls, types.GeneratorType | Iterator):
        return "Pass list(...) of it."
    if issubclass(cls, memoryview):
        return "Pass bytes(...) of it."
    if issubclass(cls, defaultdict | types.MappingProxyType):
        return "Pass dict(...) of it."
    if issubclass(cls, type):
        return "Pass its name."
    if callable(getattr(cls, "tolist", None)):  # arrays and numbers of NumPy
        return "Pass .tolist() of it."
    if (base := base_of(cls)) is not None:
        return (
            f"Pass {base.__name__}(...) of it, or register the type with asynctasq.register_type."
        )
    return "Pass plain data, or register the type with asynctasq.register_type."


# Enums are encoded by the name of the member, and flags by value, because combinations have no name.


def enum_parts(name: str, value: enum.Enum) -> list[Any]:
    """Return the class and the name of the member."""
    return [name, value._name_]


def flag_parts(name: str, value: enum.Flag) -> list[Any]:
    """Class and value."""
    return [name, int(value._value_)]


def build_enum(parts: list[Any]) -> enum.Enum:
    """Return the member of that name."""
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
    """Return the combination of that value."""
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


# Named tuples, and subclasses of int, float, str and bytes without attributes, are created by the
# constructor of the base class, so that none of their code runs.


def _is_namedtuple(cls: type) -> bool:
    return issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)


def namedtuple_parts(name: str, value: tuple[Any, ...]) -> list[Any]:
    """Return the class and the items."""
    cls = type(value)
    if any(not is_cached(cls, attribute) for attribute in getattr(value, "__dict__", ())):
        raise Unserializable(
            f"is {one_of(cls)} with attributes, which would be lost. Register the type with "
            "asynctasq.register_type."
        )
    return [name, *value]


def build_namedtuple(parts: list[Any]) -> object:
    """Return the named tuple of these items."""
    name, *items = parts
    cls: Any = find_class(name)
    if not _is_namedtuple(cls):
        raise BodyCorrupt(f"{name} is not a named tuple.")
    if len(items) != len(cls._fields):
        raise ArgumentsMismatch(
            f"The named tuple {name} of this worker has {len(cls._fields)} fields, not {len(items)}."
        )
    return tuple.__new__(cls, items)


def base_value(value: Any) -> Any:
    """Return an instance of a subclass as one of its base class.

    Raises:
        Unserializable: it holds more.
    """
    cls: Any = type(value)
    base = base_of(cls)
    assert base is not None, "structure_of has said so"
    return as_base(value, base)


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
                return None  # a type in C that requires its own constructor
            return base
    return None


def _new_scalar(cls: type, value: Any) -> object:
    new: Callable[..., object] = type(value).__new__
    return new(cls, value)


def scalar_parts(name: str, value: Any) -> list[Any]:
    """Return the class and the plain value."""
    cls: type = type(value)
    if getattr(value, "__dict__", None) or any(hasattr(value, slot) for slot in slots_in(cls)):
        raise Unserializable(
            f"is {one_of(cls)} with attributes, which would be lost. {_advice(cls)}"
        )
    for base, plain in _SCALARS.items():
        if isinstance(value, base):
            return [name, plain(value)]
    raise Unserializable(f"is {one_of(type(value))}")


def build_scalar(parts: list[Any]) -> object:
    """Return the value as an instance of its class."""
    name, value = parts
    cls = find_class(name)
    base = type(value)
    if base not in _SCALARS or not issubclass(cls, base) or issubclass(cls, enum.Enum):
        raise BodyCorrupt(f"{name} is not a subclass of {base.__name__}.")
    try:
        return _new_scalar(cls, value)
    except TypeError as error:
        raise ArgumentsMismatch(f"Could not create {name}: {brief(error)}") from error


def build_bytearray(parts: list[Any]) -> bytearray:
    """Return the bytes as a bytearray."""
    (value,) = parts
    if not isinstance(value, bytes):
        raise BodyCorrupt("A bytearray has no bytes.")
    return bytearray(value)


# Python creates a dict from any iterable of pairs, even from a range of a billion numbers or a network of
# 2**128 addresses, which a few bytes describe.


def items_of(parts: list[Any]) -> list[Any]:
    """Return the items of a mapping.

    Raises:
        BodyCorrupt: one of them is not a list of two.
    """
    if all(type(part) is list and len(part) == 2 for part in parts):
        return parts
    raise BodyCorrupt("A mapping has an item that is not a key and a value.")


# Only built-in types are allowed as the factory of a defaultdict, because every access to a missing key
# calls it.

_FACTORIES: Mapping[str, type] = {
    cls.__name__: cls for cls in (dict, list, set, frozenset, tuple, str, bytes, int, float, bool)
}


def factory_name(value: "defaultdict[Any, Any]") -> str | None:
    """Return the name of the factory of a defaultdict.

    Raises:
        Unserializable: it is not a built-in type.
    """
    factory: object = value.default_factory
    if factory is None:
        return None
    name = getattr(factory, "__name__", "")
    if _FACTORIES.get(name) is not factory:
        raise Unserializable(
            "is a collections.defaultdict whose factory is not a built-in type. Pass dict(...) of it."
        )
    return str(name)


def build_defaultdict(parts: list[Any]) -> object:
    """Return the defaultdict of these items."""
    name, *items = parts
    factory = _FACTORIES.get(name) if isinstance(name, str) else None
    if factory is None and name is not None:
        raise BodyCorrupt("The factory of a defaultdict is invalid.")
    return defaultdict(factory, items_of(items))
