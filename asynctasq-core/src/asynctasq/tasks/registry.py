"""Every task that this process knows, by name."""

import logging
from collections.abc import Iterator
from time import monotonic

from asynctasq.errors import TaskDefinitionError, UnknownTask
from asynctasq.importing import import_from_application
from asynctasq.tasks.definition import TaskDefinition

logger = logging.getLogger("asynctasq")

IMPORT_PAUSE_SECONDS = 1.0
"""After a failed import: thousands of messages may ask for tasks of one broken module."""


class TaskRegistry:
    """Definitions by name. Tasks register themselves where they are defined."""

    def __init__(self) -> None:
        self._definitions: dict[str, TaskDefinition] = {}
        self._broken: dict[str, tuple[str, float]] = {}
        """Modules that could not be imported: what was wrong, and until when that is believed."""

    def add(self, definition: TaskDefinition) -> None:
        """Register a task; the same name from the same module replaces the earlier one.

        Raises:
            TaskDefinitionError: another module has given a task this name.
        """
        known = self._definitions.get(definition.name)
        if known is not None and known.module != definition.module:
            raise TaskDefinitionError(
                f"The task name {definition.name!r} of {definition.module} is taken by a task of "
                f"{known.module}. Choose another `name=`."
            )
        self._definitions[definition.name] = definition

    def find(self, name: str) -> TaskDefinition:
        """The task of that name. Its module is imported if it is a file of the application.

        Raises:
            UnknownTask: there is none; the message says where it was looked for.
        """
        definition = self._definitions.get(name)
        if definition is not None:
            return definition
        problem = self._import(name.partition(":")[0])
        definition = self._definitions.get(name)
        if definition is None:
            raise UnknownTask(
                f"No task {name!r} is registered, and {problem}. Import the module that defines it in "
                f"the worker: `asynctasq worker --app MODULE`, or the setting `imports`."
            )
        return definition

    def _import(self, module: str) -> str:
        """Import a module of the application; says why a task would not be in it."""
        told, until = self._broken.get(module, ("", 0.0))
        if monotonic() < until:
            return told
        try:
            if import_from_application(module) is None:
                return f"no file of the application holds a module {module!r}"
        except Exception as error:
            problem = f"its module cannot be imported: {type(error).__name__}: {error}"
            if problem != told:
                logger.exception("The module %r cannot be imported.", module)
            self._broken[module] = (problem, monotonic() + IMPORT_PAUSE_SECONDS)
            return problem
        self._broken.pop(module, None)
        return f"the module {module!r} defines no such task"

    def knows(self, name: str) -> bool:
        """Whether a task of that name is registered; imports nothing."""
        return name in self._definitions

    def __iter__(self) -> Iterator[TaskDefinition]:
        return iter(tuple(self._definitions.values()))

    def __len__(self) -> int:
        return len(self._definitions)


registry = TaskRegistry()
"""The tasks of this process: decorators and classes fill it while modules are imported."""
