"""Types beyond plain data, and the conversion of their values to plain data and back.

Plain data are the types that msgpack has: None, bool, int of 64 bits, float, str, bytes, list, dict. Every
other value is a *scalar*, which is converted to a text, or a *compound*, which is converted to a list of
parts. Codes and names are part of stored messages: they never change and are never reused.
"""

import re
from base64 import b64decode, b64encode
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import Path, PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from asynctasq.contracts.serializer import Refer
from asynctasq.errors import BodyCorrupt
from asynctasq.records import record
from asynctasq.serializers import structures
from asynctasq.serializers.custom_types import custom_types
from asynctasq.serializers.dataclass_types import build_dataclass, dataclass_parts
from asynctasq.serializers.pydantic_types import (
    build_model,
    build_secret,
    build_url,
    model_parts,
    secret_parts,
    url_parts,
)
from asynctasq.serializers.standard_types import (
    build_pattern,
    build_range,
    fraction_text,
    moment_text,
    pattern_parts,
    read_datetime,
    read_fraction,
    read_integer,
    read_time,
    read_timedelta,
    read_timezone,
    read_zone,
    timedelta_text,
    timezone_text,
    zone_key,
)


@record
class ScalarType:
    """A type whose values are converted to a text."""

    code: int
    name: str
    build: Callable[[str], object]


@record
class Compound:
    """A type whose values are converted to a list of parts, which are values themselves."""

    code: int
    name: str
    build: Callable[[list[Any]], object]


Dissected: TypeAlias = tuple[ScalarType, str] | tuple[Compound, list[Any]] | tuple[None, Any]
"""A type and the content of a value; without a type, plain data that replaces the value."""


def _reference(_: str) -> object:
    raise BodyCorrupt(
        "The value contains a model reference in a place where models are not supported."
    )


DATETIME = ScalarType(1, "datetime", read_datetime)
DATE = ScalarType(2, "date", date.fromisoformat)
TIME = ScalarType(3, "time", read_time)
TIMEDELTA = ScalarType(4, "timedelta", read_timedelta)
DECIMAL = ScalarType(5, "decimal", Decimal)
UUID_ = ScalarType(6, "uuid", UUID)
INTEGER = ScalarType(7, "int", read_integer)
COMPLEX = ScalarType(8, "complex", complex)
PATH = ScalarType(9, "path", Path)
POSIX_PATH = ScalarType(10, "posixpath", PurePosixPath)
WINDOWS_PATH = ScalarType(11, "windowspath", PureWindowsPath)
REFERENCE = ScalarType(12, "model", _reference)
FLOAT = ScalarType(13, "float", float)
BYTES = ScalarType(14, "bytes", lambda text: b64decode(text, validate=True))
FRACTION = ScalarType(15, "fraction", read_fraction)
TIMEZONE = ScalarType(16, "timezone", read_timezone)
ZONE = ScalarType(17, "zoneinfo", read_zone)
IPV4_ADDRESS = ScalarType(18, "ipv4address", IPv4Address)
IPV4_NETWORK = ScalarType(19, "ipv4network", IPv4Network)
IPV4_INTERFACE = ScalarType(20, "ipv4interface", IPv4Interface)
IPV6_ADDRESS = ScalarType(21, "ipv6address", IPv6Address)
IPV6_NETWORK = ScalarType(22, "ipv6network", IPv6Network)
IPV6_INTERFACE = ScalarType(23, "ipv6interface", IPv6Interface)

TUPLE = Compound(32, "tuple", tuple)
SET = Compound(33, "set", set)
FROZENSET = Compound(34, "frozenset", frozenset)
ENUM = Compound(35, "enum", structures.build_enum)
FLAG = Compound(36, "flag", structures.build_flag)
DATACLASS = Compound(37, "dataclass", build_dataclass)
PYDANTIC = Compound(38, "pydantic", build_model)
NAMEDTUPLE = Compound(39, "namedtuple", structures.build_namedtuple)
SCALAR = Compound(40, "scalar", structures.build_scalar)
CUSTOM = Compound(41, "own", lambda parts: custom_types.decode(*parts))
ORDERED = Compound(42, "ordereddict", lambda parts: OrderedDict(structures.items_of(parts)))
COUNTER = Compound(43, "counter", lambda parts: Counter(dict(structures.items_of(parts))))
DEQUE = Compound(44, "deque", lambda parts: deque(parts[1:], parts[0]))
BYTEARRAY = Compound(45, "bytearray", structures.build_bytearray)
DICT = Compound(46, "dict", lambda parts: dict(structures.items_of(parts)))
URL = Compound(47, "url", build_url)
SECRET = Compound(48, "secret", build_secret)
DEFAULTDICT = Compound(49, "defaultdict", structures.build_defaultdict)
RANGE = Compound(50, "range", build_range)
PATTERN = Compound(51, "pattern", build_pattern)

KINDS: tuple[ScalarType | Compound, ...] = (
    *(DATETIME, DATE, TIME, TIMEDELTA, DECIMAL, UUID_, INTEGER, COMPLEX),
    *(PATH, POSIX_PATH, WINDOWS_PATH, REFERENCE, FLOAT, BYTES, FRACTION, TIMEZONE, ZONE),
    *(IPV4_ADDRESS, IPV4_NETWORK, IPV4_INTERFACE, IPV6_ADDRESS, IPV6_NETWORK, IPV6_INTERFACE),
    *(TUPLE, SET, FROZENSET, ENUM, FLAG, DATACLASS, PYDANTIC, NAMEDTUPLE, SCALAR, CUSTOM),
    *(ORDERED, COUNTER, DEQUE, BYTEARRAY, DICT, URL, SECRET, DEFAULTDICT, RANGE, PATTERN),
)
BY_CODE: Mapping[int, ScalarType | Compound] = {kind.code: kind for kind in KINDS}
BY_NAME: Mapping[str, ScalarType | Compound] = {kind.name: kind for kind in KINDS}


def pairs(mapping: Mapping[Any, Any]) -> list[Any]:
    """Return the items of a mapping as parts."""
    return [[key, value] for key, value in mapping.items()]


def bytes_text(value: bytes) -> str:
    """Return bytes as text, for formats without a type for bytes."""
    return b64encode(value).decode("ascii")


_EXACT: Mapping[type, Callable[[Any], Dissected]] = {
    datetime: lambda value: (DATETIME, moment_text(value)),
    date: lambda value: (DATE, value.isoformat()),
    time: lambda value: (TIME, moment_text(value)),
    timedelta: lambda value: (TIMEDELTA, timedelta_text(value)),
    Decimal: lambda value: (DECIMAL, str(value)),
    UUID: lambda value: (UUID_, str(value)),
    int: lambda value: (INTEGER, hex(value)),
    complex: lambda value: (COMPLEX, repr(value)),
    PosixPath: lambda value: (PATH, str(value)),
    WindowsPath: lambda value: (PATH, str(value)),
    PurePosixPath: lambda value: (POSIX_PATH, str(value)),
    PureWindowsPath: lambda value: (WINDOWS_PATH, str(value)),
    tuple: lambda value: (TUPLE, list(value)),
    set: lambda value: (SET, list(value)),
    frozenset: lambda value: (FROZENSET, list(value)),
    OrderedDict: lambda value: (ORDERED, pairs(value)),
    Counter: lambda value: (COUNTER, pairs(value)),
    deque: lambda value: (DEQUE, [value.maxlen, *value]),
    bytearray: lambda value: (BYTEARRAY, [bytes(value)]),
    Fraction: lambda value: (FRACTION, fraction_text(value)),
    timezone: lambda value: (TIMEZONE, timezone_text(value)),
    ZoneInfo: lambda value: (ZONE, zone_key(value)),
    IPv4Address: lambda value: (IPV4_ADDRESS, str(value)),
    IPv4Network: lambda value: (IPV4_NETWORK, str(value)),
    IPv4Interface: lambda value: (IPV4_INTERFACE, str(value)),
    IPv6Address: lambda value: (IPV6_ADDRESS, str(value)),
    IPv6Network: lambda value: (IPV6_NETWORK, str(value)),
    IPv6Interface: lambda value: (IPV6_INTERFACE, str(value)),
    defaultdict: lambda value: (DEFAULTDICT, [structures.factory_name(value), *pairs(value)]),
    range: lambda value: (RANGE, [value.start, value.stop, value.step]),
    re.Pattern: lambda value: (PATTERN, pattern_parts(value)),
}

_TAKE_APART: Mapping[structures.Structure, tuple[Compound, Callable[[str, Any], list[Any]]]] = {
    structures.Structure.ENUM: (ENUM, structures.enum_parts),
    structures.Structure.FLAG: (FLAG, structures.flag_parts),
    structures.Structure.DATACLASS: (DATACLASS, dataclass_parts),
    structures.Structure.PYDANTIC: (PYDANTIC, model_parts),
    structures.Structure.NAMEDTUPLE: (NAMEDTUPLE, structures.namedtuple_parts),
    structures.Structure.SCALAR: (SCALAR, structures.scalar_parts),
    structures.Structure.URL: (URL, url_parts),
    structures.Structure.SECRET: (SECRET, secret_parts),
}


def dissect(value: Any, refer: Refer) -> Dissected:
    """Return the type and content of a value that is not plain.

    A registered type has priority over all others. A model of an ORM has priority over dataclasses and
    pydantic models, because models of some ORMs are those too.

    Raises:
        NotSerializable: no type fits.
    """
    cls: type = type(value)
    exact = _EXACT.get(cls)
    if exact is not None:
        return exact(value)
    custom = custom_types.of(cls)
    if custom is not None:
        return CUSTOM, [custom.name, custom.encode(value)]
    place = refer(value)
    if place is not None:
        return REFERENCE, str(place)
    structure, name = structures.structure_of(cls)
    if structure is structures.Structure.BASE:
        plain = structures.base_value(value)
        exact = _EXACT.get(type(plain))
        return (None, plain) if exact is None else exact(plain)
    compound, take_apart = _TAKE_APART[structure]
    return compound, take_apart(name, value)


def steps_of(kind: ScalarType | Compound | None, content: Any) -> list[tuple[str, object]]:
    """Return the parts of a dissected value, each with the code that leads to it."""
    if kind is None:
        return plain_steps(content)
    if isinstance(kind, ScalarType):
        return []
    if kind is DATACLASS or kind is PYDANTIC:
        return [(f".{name}" if name else "", part) for name, part in content[1].items()]
    if kind is CUSTOM:
        return [("", content[1])]
    if kind is ORDERED or kind is COUNTER:
        return mapping_steps(dict(content))
    if kind is DEFAULTDICT:
        return mapping_steps(dict(content[1:]))
    if kind is NAMEDTUPLE or kind is DEQUE:
        return [(f"[{index}]", part) for index, part in enumerate(content[1:])]
    if kind is SET or kind is FROZENSET:
        return [("{…}", part) for part in content]
    if kind is TUPLE:
        return [(f"[{index}]", part) for index, part in enumerate(content)]
    return [("", part) for part in content]


def plain_steps(value: object) -> list[tuple[str, object]]:
    """Return the items of a list or dict, each with the code that leads to it."""
    if isinstance(value, list):
        return [(f"[{index}]", child) for index, child in enumerate(value)]
    return mapping_steps(value) if isinstance(value, dict) else []


def mapping_steps(mapping: Mapping[Any, object]) -> list[tuple[str, object]]:
    """Return the values and keys of a dict, each with the code that leads to it."""
    steps: list[tuple[str, object]] = []
    for index, (key, part) in enumerate(mapping.items()):
        shown = repr(key) if type(key) in _SHCUSTOM_KEYS else f"<{type(key).__qualname__}>"
        steps.append((f"[{shown}]", part))
        if type(key) not in _SHCUSTOM_KEYS or type(key) is str:
            steps.append((f".keys()[{index}]", key))
    return steps


_SHCUSTOM_KEYS = frozenset({str, int, bool, type(None), float})


def model_at(models: Sequence[object], place: str) -> object:
    """Return the model of a reference."""
    index = int(place)
    if not 0 <= index < len(models):
        raise BodyCorrupt(f"The value refers to model {index}, and {len(models)} are given.")
    return models[index]
