"""The decorator of all value types: frozen for type checkers, cheap at run time.

A `dataclass(frozen=True, slots=True)` of 18 fields takes about 4 µs to make, because every field
goes through `object.__setattr__`; the same class without `frozen` takes 0.35 µs. Messages and
deliveries are made once per task, so immutability is left to mypy and pyright, which read
`frozen_default=True` below.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

C = TypeVar("C")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[C]) -> type[C]:
    """Make a slotted, hashable value type whose fields type checkers refuse to assign."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
