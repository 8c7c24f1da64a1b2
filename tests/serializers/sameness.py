"""Equality as a task sees it: value and exact type, through and through."""

import dataclasses
import math
from collections import Counter, OrderedDict, deque
from datetime import datetime, time
from decimal import Decimal
from typing import Any


def identical(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (
            a == b and math.copysign(1, a) == math.copysign(1, b)
        )
    if isinstance(a, complex) and isinstance(b, complex):
        return identical(a.real, b.real) and identical(a.imag, b.imag)
    if isinstance(a, Decimal):
        return bool(a.as_tuple() == b.as_tuple())
    if isinstance(a, datetime | time):
        return a.replace(tzinfo=None) == b.replace(tzinfo=None) and (a.utcoffset(), a.fold) == (
            b.utcoffset(),
            b.fold,
        )
    if isinstance(a, dict | OrderedDict | Counter):
        return len(a) == len(b) and all(
            identical(ka, kb) and identical(va, vb)
            for (ka, va), (kb, vb) in zip(a.items(), b.items(), strict=True)
        )
    if isinstance(a, deque):
        return a.maxlen == b.maxlen and identical(list(a), list(b))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(identical, a, b))
    if isinstance(a, set | frozenset):
        return len(a) == len(b) and all(any(identical(x, y) for y in b) for x in a)
    if dataclasses.is_dataclass(a) and vars_of(a).keys() == vars_of(b).keys():
        return all(identical(part, vars_of(b)[name]) for name, part in vars_of(a).items())
    return bool(a == b)


def vars_of(instance: Any) -> dict[str, Any]:
    fields = dataclasses.fields(instance)
    return {f.name: getattr(instance, f.name) for f in fields if hasattr(instance, f.name)}
