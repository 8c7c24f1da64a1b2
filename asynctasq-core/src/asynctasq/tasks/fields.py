"""Fields that a task class declares by annotations instead of a constructor."""

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import KW_ONLY, MISSING, Field
from difflib import get_close_matches
from functools import partial
from types import MemberDescriptorType
from typing import Any, ClassVar, get_origin

from asynctasq.annotations import own_annotations, signature_of
from asynctasq.tasks.hinted_names import HintedName
from asynctasq.tasks.options import DEFINITION_OPTION_NAMES, DispatchOptions
from asynctasq.tasks.signature import ArgumentCheck, argument_check

_CLASS_VARIABLE = re.compile(r"[\s'\"]*(\w+\.)*ClassVar\b")
_SHARED = frozenset({list, dict, set, bytearray})
"""Types of defaults that are copied: a task could change them for all later ones."""
_OPTIONS = DEFINITION_OPTION_NAMES | DispatchOptions.__annotations__.keys()


class Fields:
    """The arguments of a class, as its annotations declare them."""

    def __init__(
        self,
        cls: type,
        *,
        required: Collection[str],
        values: Mapping[str, object],
        keyword_only: Collection[str],
    ) -> None:
        """Describe the fields of a class.

        Args:
            cls: the task class.
            required: the names that have no default.
            values: the value of the class under the name of each field; `MISSING` if it has none.
            keyword_only: the names that must be passed as keywords.
        """
        self._cls = cls
        self._required = frozenset(required)
        self._accepted = frozenset(name for name, value in values.items() if _is_argument(value))
        self._positional = tuple(
            name for name in values if name in self._accepted and name not in keyword_only
        )
        self._values = values
        self._factories = {
            name: factory
            for name, value in values.items()
            if (factory := _factory(value)) is not None
        }
        self.has_post_init = callable(getattr(cls, "__post_init__", None))
        """True if the class has a `__post_init__`, which runs after the fields are set."""

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call by the names of their fields.

        Raises:
            TypeError: they do not match the fields.
        """
        given = self._with_names(args, kwargs) if args else kwargs
        if self._required <= given.keys() <= self._accepted:
            return given
        name = self._cls.__qualname__
        unknown = sorted(given.keys() - self._accepted)
        if unknown:
            raise TypeError(
                f"{name}() got an unexpected keyword argument {unknown[0]!r}.{self._advice(unknown[0])}"
            )
        missing = [repr(field) for field in self._values if field in self._required - given.keys()]
        raise TypeError(
            f"{name}() missing required argument{'s' if len(missing) > 1 else ''}: {', '.join(missing)}"
        )

    def _with_names(self, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        name, most = self._cls.__qualname__, len(self._positional)
        if len(args) > most:
            raise TypeError(
                f"{name}() takes {most} positional arguments but {len(args)} were given"
            )
        named = dict(zip(self._positional, args, strict=False))
        for twice in named.keys() & kwargs.keys():
            raise TypeError(f"{name}() got multiple values for argument {twice!r}")
        return named | kwargs

    def missing_values(self, given: Mapping[str, object]) -> Iterator[tuple[str, object]]:
        """Yield the defaults that belong to one instance, for names that were not given.

        Those are the defaults of `dataclasses.field(...)`, and copies of lists, dicts, and sets.
        """
        for name, make in self._factories.items():
            if name not in given:
                yield name, make()

    def defaults(self) -> dict[str, object]:
        """Return the value of each field that has a default."""
        plain = {
            name: value
            for name, value in self._values.items()
            if value is not MISSING and not isinstance(value, Field)
        }
        return plain | dict(self.missing_values({}))

    def signature(self) -> inspect.Signature:
        """Return the signature of a constructor with these fields."""
        parameters: list[inspect.Parameter] = []
        optional = False
        for name in sorted(self._accepted, key=[*self._positional, *self._values].index):
            is_positional = name in self._positional
            optional = name not in self._required or (is_positional and optional)
            parameters.append(
                inspect.Parameter(
                    name,
                    inspect.Parameter.POSITIONAL_OR_KEYWORD
                    if is_positional
                    else inspect.Parameter.KEYWORD_ONLY,
                    default=None if optional else inspect.Parameter.empty,
                )
            )
        return inspect.Signature(parameters)

    def _advice(self, name: str) -> str:
        near = get_close_matches(name, self._accepted, n=1)
        if near:
            return f" Did you mean {near[0]!r}?"
        if name in _OPTIONS:
            return f" It is an option: set it in the class, or with .options({name}=...)."
        return f" The fields are {', '.join(map(repr, self._values))}."


class ConstructorCheck:
    """Checks arguments against the constructor of a class, or against its fields if it has none.

    It inspects the class at its first use: `@dataclass` adds the constructor after the class was made.
    """

    def __init__(self, cls: Any, base: Any) -> None:
        """Describe the constructor of a task class; `base` is the base class of all tasks."""
        self._cls = cls
        self._base = base
        self._made: ArgumentCheck | None = None

    def __call__(self, /, *args: Any, **kwargs: Any) -> None:
        """Check the arguments of a call.

        Raises:
            TypeError: they do not match.
        """
        if self._made is None:
            self._made = self._make()
        self._made(*args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        """The signature that `inspect.signature` shows."""
        fields = self._fields
        return signature_of(self._make()) if fields is None else fields.signature()

    @property
    def _fields(self) -> Fields | None:
        has_constructor = self._cls.__init__ is not self._base.__init__
        fields: Fields | None = None if has_constructor else self._cls._fields
        return fields

    def _make(self) -> ArgumentCheck:
        fields = self._fields
        if fields is None:
            return argument_check(self._cls.__init__, name=self._cls.__qualname__, skip_self=True)

        def check(*args: Any, **kwargs: Any) -> None:
            fields.bind(args, kwargs)

        return check


def fields_of(cls: type, base: type) -> Fields | None:
    """Return the fields that a task class and its bases declare; None if there are none.

    Fields of bases that are not tasks are optional.

    Args:
        cls: the task class.
        base: the base class of all tasks.
    """
    found = _Found(cls)
    is_declared = False
    for owner in reversed(cls.__mro__):
        if owner is object or owner.__module__ == base.__module__:
            continue
        is_task = issubclass(owner, base)
        is_declared |= found.add(owner, is_optional=not is_task) and is_task
    if not is_declared:
        return None
    return Fields(
        cls, required=found.required, values=found.values, keyword_only=found.keyword_only
    )


class _Found:
    """Fields that are collected from a class and its bases."""

    def __init__(self, cls: type) -> None:
        self._cls = cls
        self.required: set[str] = set()
        self.values: dict[str, object] = {}
        self.keyword_only: set[str] = set()

    def add(self, owner: type, *, is_optional: bool) -> bool:
        """Add the annotations of one class, and return whether one of them is a field."""
        any_found = keyword_only = False
        for name, hint in own_annotations(owner).items():
            if hint is KW_ONLY or (isinstance(hint, str) and hint.endswith("KW_ONLY")):
                keyword_only = True
            elif name.startswith("_") or _is_option(owner, name) or is_class_variable(hint):
                self.values.pop(name, None)
                self.required.discard(name)
            else:
                any_found = True
                self._add(name, keyword_only=keyword_only, is_optional=is_optional)
        return any_found

    def _add(self, name: str, *, keyword_only: bool, is_optional: bool) -> None:
        value = inspect.getattr_static(self._cls, name, MISSING)
        if isinstance(value, HintedName):
            value = value.behind(self._cls)
        if isinstance(value, MemberDescriptorType):
            value = MISSING
        self.values[name] = value
        if keyword_only or (isinstance(value, Field) and value.kw_only is True):
            self.keyword_only.add(name)
        if is_optional or not _is_required(value):
            self.required.discard(name)
        else:
            self.required.add(name)


def is_class_variable(hint: object) -> bool:
    """Return whether an annotation is a `ClassVar`, possibly as a string."""
    if isinstance(hint, str):
        return _CLASS_VARIABLE.match(hint) is not None
    return hint is ClassVar or get_origin(hint) is ClassVar


def _is_option(owner: type, name: str) -> bool:
    return name in DEFINITION_OPTION_NAMES and name in vars(owner)


def _is_required(value: object) -> bool:
    return value is MISSING or (isinstance(value, Field) and value.init and not _has_default(value))


def _is_argument(value: object) -> bool:
    return not isinstance(value, Field) or value.init


def _has_default(value: "Field[Any]") -> bool:
    return value.default is not MISSING or value.default_factory is not MISSING


def _factory(value: object) -> Callable[[], object] | None:
    if isinstance(value, Field):
        if value.default_factory is not MISSING:
            return value.default_factory
        return (lambda: value.default) if value.default is not MISSING else None
    if type(value) in _SHARED:
        return partial(copy, value)
    return None
