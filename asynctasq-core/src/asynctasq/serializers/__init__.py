"""Conversion of values to bytes and back, and its public parts for authors of plugins.

- `to_plain` and `from_plain` give a serializer of any format all supported types
- `class_name` and `find_class` name a class in a message and find it again, without running code

Each module is imported when you first use one of its names.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asynctasq.serializers.classes import class_name, find_class
    from asynctasq.serializers.plain import Plain, from_plain, to_plain

__all__ = ["Plain", "class_name", "find_class", "from_plain", "to_plain"]

_MODULES = {
    "Plain": "plain",
    "class_name": "classes",
    "find_class": "classes",
    "from_plain": "plain",
    "to_plain": "plain",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
