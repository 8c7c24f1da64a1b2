"""What serializers carry beyond plain data, taken apart into plain data and put together again.

Plain data is what msgpack carries exactly: None, bool, int of 64 bits, float, str, bytes, list, dict.
Every other value is a *leaf*, which has a text, or a *compound*, which has a list of parts. Codes and
names stand in stored messages: they never change and are never used again.
"""

from base64 import b64decode, b64encode
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from asynctasq.contracts.serializer import Refer
from asynctasq.errors import BodyCorrupt
from asynctasq.records import record
from asynctasq.serializers import structures
from asynctasq.serializers.own_types import own_types
from asynctasq.serializers.unserializable import Unserializable


@record
class Leaf:
    """A kind of value that has a text."""

    code: int
    name: str
    build: Callable[[str], object]


@record
class Compound:
    """A kind of value that has parts, which are values themselves."""

    code: int
    name: str
    build: Callable[[list[Any]], object]


Dissected: TypeAlias = tuple[Leaf, str] | tuple[Compound, list[Any]]


# Datetimes keep their wall clock, their offset from UTC and `fold`; the name of the zone is lost, so
# that no worker's zone tables can move a moment in time.

_FOLD = "~"
_OFFSET = "@"
"""Before an offset in microseconds: Python 3.11 reads those of less than a second as UTC."""

M = TypeVar("M", datetime, time)


def _moment_text(value: datetime | time) -> str:
    text = value.isoformat()
    if value.tzinfo is not None:
        offset = value.utcoffset()
        if offset is None:
            raise Unserializable(
                f"is a {type(value).__name__} whose time zone ({type(value.tzinfo).__name__}) gives "
                "it no offset from UTC. Pass it without a zone, or a datetime."
            )
        if offset.microseconds:
            naive = value.replace(tzinfo=None).isoformat()
            text = f"{naive}{_OFFSET}{offset // timedelta.resolution}"
    return text + _FOLD if value.fold else text


def _read_moment(text: str, read: Callable[[str], M]) -> M:
    fold = text.endswith(_FOLD)
    text, _, offset = text.removesuffix(_FOLD).partition(_OFFSET)
    moment = read(text)
    if offset:
        moment = moment.replace(tzinfo=timezone(timedelta(microseconds=int(offset))))
    return moment.replace(fold=1) if fold else moment


def _datetime(text: str) -> datetime:
    return _read_moment(text, datetime.fromisoformat)


def _time(text: str) -> time:
    return _read_moment(text, time.fromisoformat)


def _timedelta_text(value: timedelta) -> str:
    return f"{value.days},{value.seconds},{value.microseconds}"


def _timedelta(text: str) -> timedelta:
    days, seconds, microseconds = text.split(",")
    return timedelta(int(days), int(seconds), int(microseconds))


def _integer(text: str) -> int:
    # Hexadecimal: decimal text of long integers takes quadratic time, and Python limits it.
    return int(text, 16)


def _reference(_: str) -> object:
    raise BodyCorrupt("A model reference stands where none can be resolved.")


DATETIME = Leaf(1, "datetime", _datetime)
DATE = Leaf(2, "date", date.fromisoformat)
TIME = Leaf(3, "time", _time)
TIMEDELTA = Leaf(4, "timedelta", _timedelta)
DECIMAL = Leaf(5, "decimal", Decimal)
UUID_ = Leaf(6, "uuid", UUID)
INTEGER = Leaf(7, "int", _integer)
COMPLEX = Leaf(8, "complex", complex)
PATH = Leaf(9, "path", Path)
POSIX_PATH = Leaf(10, "posixpath", PurePosixPath)
WINDOWS_PATH = Leaf(11, "windowspath", PureWindowsPath)
REFERENCE = Leaf(12, "model", _reference)
FLOAT = Leaf(13, "float", float)
BYTES = Leaf(14, "bytes", lambda text: b64decode(text, validate=True))

TUPLE = Compound(32, "tuple", tuple)
SET = Compound(33, "set", set)
FROZENSET = Compound(34, "frozenset", frozenset)
ENUM = Compound(35, "enum", structures.build_enum)
FLAG = Compound(36, "flag", structures.build_flag)
DATACLASS = Compound(37, "dataclass", structures.build_dataclass)
PYDANTIC = Compound(38, "pydantic", structures.build_pydantic)
NAMEDTUPLE = Compound(39, "namedtuple", structures.build_namedtuple)
SCALAR = Compound(40, "scalar", structures.build_scalar)
OWN = Compound(41, "own", lambda parts: own_types.decode(*parts))
ORDERED = Compound(42, "ordereddict", OrderedDict)
COUNTER = Compound(43, "counter", lambda parts: Counter(dict(parts)))
DEQUE = Compound(44, "deque", lambda parts: deque(parts[1:], parts[0]))
BYTEARRAY = Compound(45, "bytearray", structures.build_bytearray)
DICT = Compound(46, "dict", dict)
URL = Compound(47, "url", structures.build_url)

KINDS: tuple[Leaf | Compound, ...] = (
    *(DATETIME, DATE, TIME, TIMEDELTA, DECIMAL, UUID_, INTEGER, COMPLEX),
    *(PATH, POSIX_PATH, WINDOWS_PATH, REFERENCE, FLOAT, BYTES),
    *(TUPLE, SET, FROZENSET, ENUM, FLAG, DATACLASS, PYDANTIC, NAMEDTUPLE, SCALAR, OWN),
    *(ORDERED, COUNTER, DEQUE, BYTEARRAY, DICT, URL),
)
BY_CODE: Mapping[int, Leaf | Compound] = {kind.code: kind for kind in KINDS}
BY_NAME: Mapping[str, Leaf | Compound] = {kind.name: kind for kind in KINDS}


def pairs(mapping: Mapping[Any, Any]) -> list[Any]:
    """The items of a mapping as parts."""
    return [[key, value] for key, value in mapping.items()]


def bytes_text(value: bytes) -> str:
    """The text of bytes, for serializers that have no bytes."""
    return b64encode(value).decode("ascii")


_EXACT: Mapping[type, Callable[[Any], Dissected]] = {
    datetime: lambda value: (DATETIME, _moment_text(value)),
    date: lambda value: (DATE, value.isoformat()),
    time: lambda value: (TIME, _moment_text(value)),
    timedelta: lambda value: (TIMEDELTA, _timedelta_text(value)),
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
}

_TAKE_APART: Mapping[structures.Structure, tuple[Compound, Callable[[str, Any], list[Any]]]] = {
    structures.Structure.ENUM: (ENUM, structures.enum_parts),
    structures.Structure.FLAG: (FLAG, structures.flag_parts),
    structures.Structure.DATACLASS: (DATACLASS, structures.dataclass_parts),
    structures.Structure.PYDANTIC: (PYDANTIC, structures.pydantic_parts),
    structures.Structure.NAMEDTUPLE: (NAMEDTUPLE, structures.namedtuple_parts),
    structures.Structure.SCALAR: (SCALAR, structures.scalar_parts),
    structures.Structure.URL: (URL, structures.url_parts),
}


def dissect(value: Any, refer: Refer) -> Dissected:
    """Take a value that is not plain apart.

    An own type comes before what the class may be besides; a model comes before a dataclass or
    pydantic model, because models of some ORMs are those too.

    Raises:
        NotSerializable: no kind fits.
    """
    cls: type = type(value)
    exact = _EXACT.get(cls)
    if exact is not None:
        return exact(value)
    own = own_types.of(cls)
    if own is not None:
        return OWN, [own.name, own.encode(value)]
    place = refer(value)
    if place is not None:
        return REFERENCE, str(place)
    structure, name = structures.structure_of(cls)
    compound, take_apart = _TAKE_APART[structure]
    return compound, take_apart(name, value)


def steps_of(kind: Leaf | Compound, content: Any) -> list[tuple[str, object]]:
    """The parts of a dissected value, each with how a user would reach it."""
    if isinstance(kind, Leaf):
        return []
    if kind is DATACLASS or kind is PYDANTIC:
        return [(f".{name}", part) for name, part in content[1].items()]
    if kind is OWN:
        return [("", content[1])]
    if kind is ORDERED or kind is COUNTER:
        return mapping_steps(dict(content))
    if kind is NAMEDTUPLE or kind is DEQUE:
        return [(f"[{index}]", part) for index, part in enumerate(content[1:])]
    if kind is SET or kind is FROZENSET:
        return [("{…}", part) for part in content]
    if kind is TUPLE:
        return [(f"[{index}]", part) for index, part in enumerate(content)]
    return [("", part) for part in content]


def mapping_steps(mapping: Mapping[Any, object]) -> list[tuple[str, object]]:
    """Values and keys of a dict, each with how a user would reach it."""
    steps: list[tuple[str, object]] = []
    for index, (key, part) in enumerate(mapping.items()):
        shown = repr(key) if type(key) in _SHOWN_KEYS else f"<{type(key).__qualname__}>"
        steps.append((f"[{shown}]", part))
        if type(key) not in _SHOWN_KEYS or type(key) is str:
            steps.append((f".keys()[{index}]", key))
    return steps


_SHOWN_KEYS = frozenset({str, int, bool, type(None), float})


def model_at(models: Sequence[object], place: str) -> object:
    """The model that a reference stands for."""
    index = int(place)
    if not 0 <= index < len(models):
        raise BodyCorrupt(f"The value refers to model {index}, and {len(models)} are given.")
    return models[index]
