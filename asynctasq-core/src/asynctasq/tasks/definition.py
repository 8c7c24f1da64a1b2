"""The definition of a task, without the arguments of a call."""

from collections.abc import Callable, Mapping
from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from asynctasq.records import record
from asynctasq.tasks.origin import Origin
from asynctasq.tasks.schedule_options import Timetable
from asynctasq.tasks.signature import ArgumentCheck

if TYPE_CHECKING:
    from asynctasq.tasks.base import BaseTask


class ExecutionMode(StrEnum):
    """Where a task's code runs; the value is the name of the executor plugin."""

    LOOP = "loop"
    THREAD = "thread"
    PROCESS = "process"


@record
class TaskDefinition:
    """A task as it was defined."""

    name: str
    """`module:qualified.name`, or the name that the user chose."""
    module: str
    """Importable name of the module that defines it."""
    mode: ExecutionMode
    is_async: bool
    options: Mapping[str, object] = field(hash=False)
    """The options of the definition, without defaults: see `resolve_options`."""
    driver: object = field(hash=False)
    """Name, URL or instance of the driver that the task is dispatched to; None for that of the app."""
    create: Callable[[], "BaseTask[Any]"]
    """Makes an instance without running its constructor."""
    check: ArgumentCheck
    """Raises TypeError if the arguments do not match the signature."""
    relations: tuple[str, ...] = ()
    """Relations that are loaded together with models among the arguments: see `DefinitionOptions`."""
    named: bool = False
    """True if the user chose the name."""
    timetable: Timetable | None = None
    """The schedule that the code declares; None if there is none."""
    origin: Origin | None = field(default=None, hash=False, compare=False)
    """The code of the task, and the place of its definition."""


def definition_of(task: object) -> TaskDefinition | None:
    """Return the definition of a task function, of a task class or of a task with its arguments.

    It is None for any other object, and for a class that is not a task itself.
    """
    definition = getattr(task, "_definition", None)
    return definition if isinstance(definition, TaskDefinition) else None
