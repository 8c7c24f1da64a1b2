"""The place of a definition, and whether two definitions of one name are the same task."""

import inspect
import sys
import weakref
from collections.abc import Iterator
from types import FrameType, FunctionType, MemberDescriptorType
from typing import Protocol

from asynctasq.errors import TaskDefinitionError

_MAIN = frozenset({"__main__", "__mp_main__"})
_PASSED_OVER = frozenset(
    {"dataclasses", "attr._make", "attr._next_gen", "functools", "types", "abc"}
)
"""Modules that define tasks for the code that calls them, as this package does."""
_MADE_HERE = frozenset({"_definition", "_fields"})
"""Attributes that are set for each task class."""
_PLAIN = (str, int, float, bool, bytes, type(None))


class Sender(Protocol):
    """Object that dispatches tasks: an app."""

    @property
    def is_open(self) -> bool:
        """True while it is connected to its store, where messages may wait."""
        ...


class Origin:
    """The code of a task, and the run of a module that defined it."""

    def __init__(self, code: FunctionType | type, rules: tuple[object, ...] = ()) -> None:
        """Describe the definition that is being executed.

        Args:
            code: the function or the class.
            rules: other values that decide how the task runs, apart from its options.
        """
        self.code = code
        self.rules = rules
        frame = _defining_frame()
        self.file = frame.f_code.co_filename
        self.line = frame.f_lineno
        in_function = bool(frame.f_code.co_flags & inspect.CO_OPTIMIZED)
        self.is_local = in_function or "<locals>" in code.__qualname__
        """True if it was defined while a function ran, which may happen again."""
        self._namespace = _namespace_of(code, frame)
        self._spec = self._namespace.get("__spec__")
        self._definer = frame.f_globals
        self._definer_spec = frame.f_globals.get("__spec__")
        self.is_of_script = not self.is_local and self._namespace.get("__name__") in _MAIN
        self.is_watched = self.is_local
        """True if dispatches are noted: another definition may replace this one, or has replaced it."""
        self._replaced_at: str | None = None
        self._sender: weakref.ReferenceType[Sender] | None = None

    @property
    def place(self) -> str:
        """The file and the line."""
        return f"{self.file}:{self.line}"

    def is_in_file_of(self, other: "Origin") -> bool:
        """Return whether the modules of both are one file."""
        file = self._namespace.get("__file__")
        return file is not None and file == other._namespace.get("__file__")

    def is_of_same_run(self, other: "Origin") -> bool:
        """Return whether one run of one module made both; a reload is another run.

        In an interactive session, every input is a separate run.
        """
        if hasattr(sys, "ps1") and self.code.__module__ in _MAIN:
            return False
        if self._definer.get("__name__") == other._definer.get("__name__") and (
            self._definer is not other._definer or self._definer_spec is not other._definer_spec
        ):
            return False
        return self._namespace is other._namespace and self._spec is other._spec

    def rebinds(self, other: "Origin") -> bool:
        """Return whether Python itself replaces one by the other, as with two `def`s of one name."""
        names = {self.code.__qualname__, other.code.__qualname__}
        return len(names) == 1 and "<" not in self.code.__qualname__

    def is_same_code(self, other: "Origin") -> bool:
        """Return whether both do the same."""
        if not _all_same(self.rules, other.rules):
            return False
        one, two = self.code, other.code
        if one is two:
            return True
        if isinstance(one, FunctionType) and isinstance(two, FunctionType):
            return _is_same_function(one, two)
        return isinstance(one, type) and isinstance(two, type) and _is_copy(one, two)

    def note_dispatch(self, name: str, sender: weakref.ReferenceType[Sender]) -> None:
        """Record that messages for this definition may wait in the store of `sender`.

        Raises:
            TaskDefinitionError: another definition has replaced this one, and would run instead.
        """
        if self._replaced_at is not None:
            raise defined_twice(name, self.place, self._replaced_at)
        self._sender = sender

    def may_be_waiting(self) -> bool:
        """Return whether messages for this definition may wait to be run."""
        sender = None if self._sender is None else self._sender()
        return sender is not None and sender.is_open

    def replace_with(self, other: "Origin") -> None:
        """Refuse dispatches of this definition from now on."""
        self._replaced_at = other.place
        self.is_watched = True

    def continue_as(self, other: "Origin") -> None:
        """Let messages for this definition count as those of another, which is the same task."""
        other._sender = self._sender


def defined_twice(name: str, first: str, second: str) -> TaskDefinitionError:
    """Make the error for a second, different definition of a name."""
    again = " (this line ran twice, as in a factory or a loop)" if first == second else ""
    return TaskDefinitionError(
        f"The task name {name!r} must have one definition, got two: at {first} and at {second}{again}. "
        "Give each task its own name with `name=`: @task(name=...), or class Name(AsyncTask, name=...)."
    )


def is_being_defined(origin: Origin) -> bool:
    """Return whether the definition belongs to an import, a reload, or the top level of a script."""
    return _is_being_imported() or origin.is_of_script


def _is_being_imported() -> bool:
    for frame in _frames():
        names = frame.f_globals
        if frame.f_code.co_name == "<module>":
            if getattr(names.get("__spec__"), "_initializing", False):
                return True
        elif frame.f_code.co_name == "reload" and names.get("__name__") == "importlib":
            return True
    return False


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _defining_frame() -> FrameType:
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_passed_over(str(frame.f_globals.get("__name__"))):
        frame = frame.f_back
    return frame


def _is_passed_over(module: str) -> bool:
    return module in _PASSED_OVER or module.startswith("asynctasq.tasks.")


def _namespace_of(code: FunctionType | type, frame: FrameType) -> dict[str, object]:
    """Return the globals of the module that the code belongs to."""
    if isinstance(code, FunctionType):
        plain: object = inspect.unwrap(code)
        return (plain if isinstance(plain, FunctionType) else code).__globals__
    for each in (frame, *_frames()):
        if each.f_globals.get("__name__") == code.__module__:
            return each.f_globals
    module = sys.modules.get(code.__module__)
    return {} if module is None else vars(module)


def _is_same_function(one: FunctionType, two: FunctionType) -> bool:
    if one.__code__ != two.__code__:
        return False
    try:
        cells = [
            tuple(cell.cell_contents for cell in each.__closure__ or ()) for each in (one, two)
        ]
    except ValueError:  # a variable that has no value yet
        return False
    named = [each.__kwdefaults__ or {} for each in (one, two)]
    return (
        _all_same(*cells)
        and _all_same(one.__defaults__ or (), two.__defaults__ or ())
        and named[0].keys() == named[1].keys()
        and _all_same(tuple(named[0].values()), tuple(named[1].values()))
    )


def _is_copy(one: type, two: type) -> bool:
    """Return whether one class was made of the other, as `@dataclass(slots=True)` does."""
    first, second = vars(one), vars(two)
    shared = [
        name
        for name in first.keys() & second.keys()
        if not _is_dunder(name) and not isinstance(second[name], MemberDescriptorType)
    ]
    own = [name for name, value in first.items() if isinstance(value, FunctionType | dict)]
    only_one_has = [name for name in first.keys() ^ second.keys() if not _is_dunder(name)]
    return (
        one.__bases__ == two.__bases__
        and first.get("__annotations__") == second.get("__annotations__")
        and any(first[name] is second.get(name) for name in own)
        and all(_is_same(first[name], second[name]) for name in shared if name not in _MADE_HERE)
        and all(_is_slot(two, name) for name in only_one_has)
    )


def _is_slot(cls: type, name: str) -> bool:
    return isinstance(inspect.getattr_static(cls, name, None), MemberDescriptorType)


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _all_same(one: tuple[object, ...], two: tuple[object, ...]) -> bool:
    return len(one) == len(two) and all(map(_is_same, one, two))


def _is_same(one: object, two: object) -> bool:
    return one is two or (type(one) is type(two) and isinstance(one, _PLAIN) and one == two)
