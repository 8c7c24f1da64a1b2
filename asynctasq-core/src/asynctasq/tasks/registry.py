"""Every task that this process knows, by name."""

import logging
from collections.abc import Iterator

from asynctasq.errors import TaskDefinitionError, UnknownTask
from asynctasq.importing import import_from_application
from asynctasq.tasks.definition import TaskDefinition

logger = logging.getLogger("asynctasq")


class TaskRegistry:
    """Definitions by name. Tasks register themselves where they are defined."""

    def __init__(self) -> None:
        self._definitions: dict[str, TaskDefinition] = {}

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
        module = name.partition(":")[0]
        problem = f"no file of the application holds a module {module!r}"
        try:
            if import_from_application(module) is not None:
                problem = f"the module {module!r} defines no such task"
        except Exception as error:
            logger.exception("The module %r of the task %r cannot be imported.", module, name)
            problem = f"its module cannot be imported: {type(error).__name__}: {error}"
        definition = self._definitions.get(name)
        if definition is None:
            raise UnknownTask(
                f"No task {name!r} is registered, and {problem}. Import the module that defines it in "
                f"the worker: `asynctasq worker --app MODULE`, or the setting `imports`."
            )
        return definition

    def knows(self, name: str) -> bool:
        """Whether a task of that name is registered; imports nothing."""
        return name in self._definitions

    def __iter__(self) -> Iterator[TaskDefinition]:
        return iter(tuple(self._definitions.values()))

    def __len__(self) -> int:
        return len(self._definitions)


registry = TaskRegistry()
"""The tasks of this process: decorators and classes fill it while modules are imported."""
