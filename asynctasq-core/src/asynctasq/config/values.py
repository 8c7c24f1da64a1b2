"""Conversion of raw values to the types of settings, with pydantic's rules.

Values from code must have the right type: `"100"` is not accepted as a number. Values from the environment are
text, so numbers, truth values and lists are read from it. pydantic is imported at first use.
"""

import json
from collections.abc import Collection, Mapping
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import TypeAdapter

NONE_WORDS = frozenset({"", "none"})

_TYPE_TEXTS: Mapping[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    bytes: "bytes",
    NoneType: "none",
    object: "anything",
    Any: "anything",
}


class Mismatch(Exception):
    """A value is not of its type; the text says what was expected."""


def convert(value: object, hint: Any) -> Any:
    """Return a value from code as a value of the type `hint`.

    Text becomes a path or a member of an enumeration where one is wanted, never a number, and a
    path becomes text; text where a list is wanted is a list of one.

    Raises:
        Mismatch: it is not of that type.
    """
    from pydantic import ValidationError

    if isinstance(value, str) and _is_list(hint):
        value = [value]
    elif isinstance(value, PurePath) and str in _members(hint):
        value = str(value)
    adapter = _adapter(hint)
    try:
        return adapter.validate_python(value, strict=True)
    except ValidationError as error:
        strict_error = error
    try:
        # The strict rules for JSON allow what JSON cannot say otherwise: paths, enumerations,
        # tuples and sets.
        return adapter.validate_json(json.dumps(value), strict=True)
    except (TypeError, ValueError, RecursionError):
        raise Mismatch(_expected(hint, strict_error)) from None


def convert_text(text: str, hint: Any, *, none_words: bool = True) -> Any:
    """Return a value from the environment as a value of the type `hint`.

    Lists are comma separated or JSON. `none` and empty text mean None where that is allowed.

    Raises:
        Mismatch: it is not of that type.
    """
    from pydantic import ValidationError

    value: object = text
    if none_words and _allows_none(hint) and text.strip().lower() in NONE_WORDS:
        return None
    if _is_list(hint):
        value = split_list(text)
    elif _container(hint, (dict, Mapping)):
        value = _read_json(text)
    try:
        return _adapter(hint).validate_python(value)
    except ValidationError as error:
        raise Mismatch(_expected(hint, error)) from None


def split_list(text: str) -> list[object]:
    """Return the items of a list given as text: comma separated, or a JSON array.

    Raises:
        Mismatch: it begins like a JSON array and is none.
    """
    text = text.strip()
    if text.startswith("["):
        items = _read_json(text)
        return items if isinstance(items, list) else [items]
    return [item.strip() for item in text.split(",") if item.strip()]


def type_text(hint: Any) -> str:
    """Return a type in the words of errors and documents: `a whole number`, `a number or none`."""
    origin = get_origin(hint)
    if origin is Annotated:
        return type_text(get_args(hint)[0])
    if origin in {Union, UnionType}:
        return " or ".join(type_text(member) for member in get_args(hint))
    if origin is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(hint))
    if _is_list(hint):
        items = [member for member in get_args(hint) if member is not Ellipsis]
        return f"a list of {_PLURALS.get(items[0], 'values')}" if items else "a list"
    if isinstance(hint, type):
        if issubclass(hint, Enum):
            return "one of " + ", ".join(repr(member.value) for member in hint)
        if issubclass(hint, PurePath):
            return "a path"
    known = _TYPE_TEXTS.get(hint) if hint.__hash__ else None
    return known or getattr(hint, "__name__", None) or str(hint)


_PLURALS: Mapping[object, str] = {str: "texts", int: "whole numbers", float: "numbers"}


def value_as_text(value: object) -> str:
    """Return a value as text of the environment, which `convert_text` converts back."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return value_as_text(value.value)
    if isinstance(value, Mapping):
        return json.dumps(dict(value))
    if isinstance(value, Collection) and not isinstance(value, str | bytes):
        items = [value_as_text(item) for item in value]
        plain = all(item and not set(item) & set(',[]"') for item in items)
        return ",".join(items) if plain else json.dumps(items)
    return str(value)


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Mismatch("valid JSON") from None


@lru_cache(maxsize=256)
def _adapter(hint: Any) -> "TypeAdapter[Any]":
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter

    try:
        return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # a dataclass or model, which bring a configuration of their own
        return TypeAdapter(hint)


def _expected(hint: Any, error: Any) -> str:
    """Return what was expected, in our words for a type or pydantic's for a constraint."""
    first = error.errors(include_url=False, include_input=False)[0]
    if len(error.errors()) == 1 and not first["type"].endswith(
        ("_type", "_parsing", "_of", "enum", "literal_error")
    ):
        return str(first["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    return type_text(hint)


def _members(hint: Any) -> tuple[Any, ...]:
    """Return the members of a union, without annotations; for any other type, the type itself."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in {Union, UnionType}:
        return tuple(inner for member in get_args(hint) for inner in _members(member))
    return (hint,)


def _allows_none(hint: Any) -> bool:
    return NoneType in _members(hint)


def _container(hint: Any, kinds: tuple[type, ...]) -> bool:
    """Return whether `hint` allows only containers of these kinds, and None."""
    members = [member for member in _members(hint) if member is not NoneType]
    return bool(members) and all(
        isinstance(origin := get_origin(member) or member, type)
        and issubclass(origin, kinds)
        and not issubclass(origin, str | bytes)
        for member in members
    )


def _is_list(hint: Any) -> bool:
    return _container(hint, (list, tuple, set, frozenset, Collection)) and not _container(
        hint, (dict, Mapping)
    )
