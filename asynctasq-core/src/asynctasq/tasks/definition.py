"""What is known of a task before any call of it."""

from collections.abc import Callable, Mapping
from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from asynctasq.records import record
from asynctasq.tasks.origin import Origin
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
    """`module:qualified.name`, or what the user chose."""
    module: str
    """Where it was defined, as it can be imported."""
    mode: ExecutionMode
    is_async: bool
    options: Mapping[str, object] = field(hash=False)
    """The options given at the definition, and only those: see `resolve_options`."""
    driver: object = field(hash=False)
    """Name, URL or instance of the driver that its dispatches go to; None for the app's."""
    create: Callable[[], "BaseTask[Any]"]
    """A bare instance, before its constructor has run."""
    check: ArgumentCheck
    """Raises TypeError if the arguments do not fit."""
    relations: tuple[str, ...] = ()
    """What is loaded along with the models among the arguments: see `DefinitionOptions`."""
    named: bool = False
    """The user chose the name."""
    origin: Origin | None = field(default=None, hash=False, compare=False)
    """The code that was defined, and where."""
