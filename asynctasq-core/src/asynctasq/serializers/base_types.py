"""Subclasses of built-in types without data of their own, which are encoded as the base class.

The UUIDs of asyncpg, the datetimes of pendulum and freezegun, the floats of NumPy, and dicts and lists with
methods arrive as `UUID`, `datetime`, `float`, `dict` and `list`.
"""

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from asynctasq.serializers.unserializable import Unserializable, one_of

_SLOTS_WITHOUT_STATE = frozenset({"__dict__", "__weakref__"})


# freezegun replaces `datetime` and `date` in all modules, but not the keys of these tables: a value is
# made by the base class that was found.

_COMPARED: Mapping[type, Callable[[Any, Any], object]] = {
    datetime: lambda base, value: base(
        value.year, value.month, value.day, value.hour, value.minute, value.second,
        value.microsecond, value.tzinfo, fold=value.fold,
    ),
    date: lambda base, value: base(value.year, value.month, value.day),
    time: lambda base, value: base(
        value.hour, value.minute, value.second, value.microsecond, value.tzinfo, fold=value.fold
    ),
    timedelta: lambda base, value: base(value.days, value.seconds, value.microseconds),
    UUID: lambda base, value: base(int=value.int),
    Fraction: lambda base, value: base(value.numerator, value.denominator),
    **{
        cls: lambda base, value: base(value)
        for cls in (
            *(IPv4Interface, IPv6Interface, IPv4Address, IPv6Address, IPv4Network, IPv6Network),
            *(PosixPath, WindowsPath, PurePosixPath, PureWindowsPath),
        )
    },
}  # fmt: skip
"""Conversions whose result must equal the value. Otherwise the subclass holds more; for example, a
timestamp of pandas has nanoseconds."""

_WHOLE: Mapping[type, Callable[[Any], object]] = {
    Decimal: lambda value: Decimal(Decimal.__str__(value)),
    ZoneInfo: lambda value: ZoneInfo(value.key),
    complex: lambda value: complex(value.real, value.imag),
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    bytes: bytes.__bytes__,
    bytearray: lambda value: bytearray(memoryview(value)),
    OrderedDict: lambda value: OrderedDict(OrderedDict.items(value)),
    Counter: lambda value: Counter(dict.copy(value)),
    dict: dict.copy,
    list: list.copy,
    tuple: lambda value: tuple(tuple.__iter__(value)),
    set: lambda value: set(set.__iter__(value)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
    deque: lambda value: deque(deque.__iter__(value), value.maxlen),
}
"""Conversions for values that consist of what their base class holds."""


@lru_cache(maxsize=1024)
def base_of(cls: Any) -> type | None:
    """Return the base class as which instances of a class are encoded; None if there is none."""
    if issubclass(cls, defaultdict) or hasattr(cls, "n_sequence_fields"):
        return None  # a factory, and fields that iteration does not show
    for base in (*_COMPARED, *_WHOLE):
        if cls is not base and issubclass(cls, base):
            return base
    return None


def as_base(value: Any, base: type) -> Any:
    """Return a value of a subclass as one of the base class.

    Raises:
        Unserializable: it holds more than the base class does.
    """
    cls: type = type(value)
    if getattr(value, "__dict__", None) or any(
        hasattr(value, name) for name in _own_slots(cls, base)
    ):
        raise Unserializable(
            f"is {one_of(cls)} with attributes, which would be lost. Pass {base.__name__}(...) of "
            "it, or register the type with asynctasq.register_type."
        )
    convert = _COMPARED.get(base)
    if convert is None:
        return _WHOLE[base](value)
    try:
        plain = convert(base, value)
        if plain == value:
            return plain
    except Exception:  # noqa: BLE001, S110  what cannot be converted is refused below
        pass
    raise Unserializable(
        f"is {one_of(cls)} that holds more than a {base.__name__}. Convert it to one, or register "
        "the type with asynctasq.register_type."
    )


@lru_cache(maxsize=1024)
def _own_slots(cls: type, base: type) -> tuple[str, ...]:
    return tuple(slots_of(cls, above=frozenset(base.__mro__)))


@lru_cache(maxsize=1024)
def slots_in(cls: type) -> tuple[str, ...]:
    """Return all attributes that a class keeps in slots."""
    return tuple(slots_of(cls))


def slots_of(cls: type, *, above: frozenset[type] = frozenset()) -> Iterator[str]:
    """Yield the attributes that a class keeps in slots; not those of the classes `above`."""
    for owner in cls.__mro__:
        if owner in above:
            continue
        slots = vars(owner).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if name not in _SLOTS_WITHOUT_STATE:
                private = name.startswith("__") and not name.endswith("__")
                yield f"_{owner.__name__.lstrip('_')}{name}" if private else name
