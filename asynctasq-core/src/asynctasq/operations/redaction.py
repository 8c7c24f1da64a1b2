"""Redaction: values as people and programs may see them, without secrets."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, time
from enum import Enum
from fnmatch import fnmatchcase
from math import isfinite
from pathlib import PurePath
from uuid import UUID

from asynctasq.contracts.resolver import Reference
from asynctasq.operations.views import Arguments

HIDDEN = "***"
"""Shown instead of a hidden value."""
_DEEPEST = 50


class Redaction:
    """Hides values whose name matches one of the patterns, at any depth.

    Patterns are compared with names of arguments, keys of dicts, and fields of dataclasses and
    pydantic models, in any case: `*password*` hides `user_password` and `Password`; `*` hides all.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._patterns = [pattern.lower() for pattern in patterns]

    def hides(self, name: str) -> bool:
        """Return whether a value of that name is hidden."""
        return any(fnmatchcase(name.lower(), pattern) for pattern in self._patterns)

    @property
    def hides_anything(self) -> bool:
        """True if there is a pattern."""
        return bool(self._patterns)

    @property
    def hides_all(self) -> bool:
        """True if every value is hidden, under any name."""
        return "*" in self._patterns

    def arguments(self, given: Arguments, names: Sequence[str] | None) -> dict[str, object]:
        """Return arguments by name as JSON values; positional ones without a name by number.

        Args:
            given: the arguments.
            names: the names of positional parameters; None if the task cannot be imported. Then all
                positional arguments are hidden if there is any pattern, because their names are unknown.
        """
        shown: dict[str, object] = {}
        for number, value in enumerate(given.positional):
            known = names is not None and number < len(names)
            name = names[number] if names is not None and known else str(number)
            hidden = self.hides(name) if names is not None else self.hides_anything
            shown[name] = HIDDEN if hidden else self.plain(value)
        for name, value in given.named.items():
            shown[name] = HIDDEN if self.hides(name) else self.plain(value)
        return shown

    def plain(self, value: object, depth: int = 0) -> object:
        """Return a value as a JSON value.

        Mappings, dataclasses and pydantic models become objects; sequences and sets become arrays; dates,
        ids and paths become strings. Any other value becomes its `repr`.
        """
        if self.hides_all:
            return HIDDEN
        return self._plain(value, depth)

    def _plain(self, value: object, depth: int) -> object:
        if value is None or type(value) in {bool, int, str}:
            return value
        if type(value) is float:
            return value if isfinite(value) else repr(value)
        if depth > _DEEPEST:
            return "..."
        if isinstance(value, Reference):
            return f"<{value.model} {value.key!r}>"
        if isinstance(value, Enum):
            return self._plain(value.value, depth + 1)
        named = _named_parts(value)
        if named is not None:
            return {
                name: HIDDEN if self.hides(name) else self._plain(part, depth + 1)
                for name, part in named.items()
            }
        if isinstance(value, list | tuple | AbstractSet):
            return [self._plain(part, depth + 1) for part in value]
        if isinstance(value, date | time):
            return value.isoformat()
        if isinstance(value, UUID | PurePath):
            return str(value)
        return _repr(value)


def _named_parts(value: object) -> Mapping[str, object] | None:
    """Return the named parts of a value; None if it has none."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else _repr(key): part for key, part in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name, None) for each in fields(value)}
    if hasattr(type(value), "model_fields"):  # a pydantic model, without importing pydantic
        return {**vars(value), **(getattr(value, "model_extra", None) or {})}
    return None


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  the repr of a user's class
        return f"<{type(value).__qualname__}: {type(error).__qualname__}>"
