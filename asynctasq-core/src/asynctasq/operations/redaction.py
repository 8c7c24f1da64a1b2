"""Values as people and programs may see them: what is secret is left out."""

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
"""Stands for a value that is not shown."""
_DEEPEST = 50


class Redaction:
    """Shows values, but for those whose name matches one of the patterns, at any depth.

    Patterns are compared with names of arguments, keys of dicts, and fields of dataclasses and
    pydantic models, in any case: `*password*` hides `user_password` and `Password`; `*` hides all.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._patterns = [pattern.lower() for pattern in patterns]

    def hides(self, name: str) -> bool:
        """Whether a value of that name is not shown."""
        return any(fnmatchcase(name.lower(), pattern) for pattern in self._patterns)

    @property
    def hides_anything(self) -> bool:
        """Whether there is any pattern."""
        return bool(self._patterns)

    @property
    def hides_all(self) -> bool:
        """Whether no value may be shown, whatever its name."""
        return "*" in self._patterns

    def arguments(self, given: Arguments, names: Sequence[str] | None) -> dict[str, object]:
        """Arguments by name as JSON can carry them, positional ones by number where names lack.

        `names` are those of positional parameters; None if the task's code is not at hand. Then
        positional arguments are hidden as soon as anything is: nobody knows what they are.
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
        """A value as JSON can carry it.

        Mappings, dataclasses and pydantic models become objects, sequences and sets arrays, dates,
        ids and paths text; anything else is shown as `repr` shows it.
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
    """The parts of a value that have names; None if it has none."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else _repr(key): part for key, part in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name, None) for each in fields(value)}
    if hasattr(type(value), "model_fields"):  # pydantic, which need not be imported for this
        return {**vars(value), **(getattr(value, "model_extra", None) or {})}
    return None


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  the repr of a user's class
        return f"<{type(value).__qualname__}: {type(error).__qualname__}>"
