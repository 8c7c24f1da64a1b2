"""The registry of tasks: every task of this process, by name."""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from time import monotonic

from asynctasq.errors import TaskDefinitionError, UnknownTask
from asynctasq.import_rules import LOADED_ONLY, ImportRule
from asynctasq.importing import import_from_application, import_hint
from asynctasq.tasks.definition import TaskDefinition
from asynctasq.tasks.origin import defined_twice, is_being_defined

logger = logging.getLogger("asynctasq")

IMPORT_PAUSE_SECONDS = 1.0
"""Pause after a failed import: thousands of messages may name tasks of one broken module."""


class TaskRegistry:
    """Definitions of tasks by name. Each task is registered when it is defined."""

    def __init__(self) -> None:
        self._definitions: dict[str, TaskDefinition] = {}
        self._broken: dict[str, tuple[str, float]] = {}
        """Modules that could not be imported: the problem, and until when no import is tried again."""

    def add(self, definition: TaskDefinition) -> None:
        """Register a task.

        A module that is reloaded, or imported again, replaces its tasks. Within one run of a module each
        name has one definition. A function that defines tasks may run again later, unless messages for its
        earlier task can be waiting. The earlier task can then no longer be dispatched.

        Raises:
            TaskDefinitionError: the name is taken, by another module or by different code.
        """
        known = self._definitions.get(definition.name)
        if known is not None:
            _check_replacement(known, definition)
        self._definitions[definition.name] = definition

    def import_rule(self, imports: Collection[str], *, enabled: bool) -> ImportRule:
        """Make the rule by which messages may cause imports, for a process that runs tasks.

        Args:
            imports: the modules that the application named; if none, the whole folder is permitted.
            enabled: the setting `import_tasks`.
        """
        if not enabled:
            return LOADED_ONLY
        return ImportRule(
            imports,
            registered=self.modules,
            whole_folder=not imports,
        )

    def find(self, name: str) -> TaskDefinition:
        """Return the task of that name; its module is imported if the rule of the context permits it.

        Raises:
            UnknownTask: it does not exist; the message says where it was looked for.
        """
        definition = self._definitions.get(name)
        if definition is not None:
            return definition
        problem = self._import(name.partition(":")[0])
        definition = self._definitions.get(name)
        if definition is None:
            raise UnknownTask(
                f"No task {name!r} is registered, and {problem}. Import the module that defines it in "
                f"the worker: `asynctasq worker --app MODULE`, or the setting `imports`.{self._hint(name)}"
            )
        return definition

    def _import(self, module: str) -> str:
        """Import a module of the application, and return why a task would not be in it."""
        known, until = self._broken.get(module, ("", 0.0))
        if monotonic() < until:
            return known
        try:
            if import_from_application(module) is None:
                return f"no module {module!r} is loaded or may be imported because of a message"
        except Exception as error:
            cause = f"{type(error).__name__}: {error}{import_hint(error)}"
            problem = f"its module cannot be imported: {cause}"
            if problem != known:
                logger.exception("Could not import the module %r", module)
            self._broken[module] = (problem, monotonic() + IMPORT_PAUSE_SECONDS)
            return problem
        self._broken.pop(module, None)
        return f"the module {module!r} defines no such task"

    def _hint(self, name: str) -> str:
        """Return a hint at the task that was probably meant: a script in a package may have a shorter name."""
        for known in self._definitions:
            if known.endswith(f".{name}"):
                script = known.partition(":")[0]
                return f" {known!r} is registered: run its script as `python -m {script}`."
        if "<locals>" in name:
            return " It was defined inside a function: define tasks at the top level of a module."
        return ""

    def knows(self, name: str) -> bool:
        """Return whether a task of that name is registered; imports nothing."""
        return name in self._definitions

    def discard(self, name: str) -> None:
        """Forget a task, and whether the import of its module failed; for tests."""
        self._definitions.pop(name, None)
        self._broken.pop(name.partition(":")[0], None)

    def modules(self) -> set[str]:
        """Return the modules that define the registered tasks."""
        return {each.module for each in self}

    @contextmanager
    def preserved(self, *, empty: bool = False) -> Iterator[None]:
        """Discard the tasks that are registered within the block, for tests.

        Args:
            empty: start without the tasks that are registered already.
        """
        before = self._definitions
        self._definitions = {} if empty else dict(before)
        try:
            yield
        finally:
            self._definitions = before

    def __iter__(self) -> Iterator[TaskDefinition]:
        return iter(tuple(self._definitions.values()))

    def __len__(self) -> int:
        return len(self._definitions)


def _check_replacement(known: TaskDefinition, new: TaskDefinition) -> None:
    old_origin, origin = known.origin, new.origin
    if known.module != new.module:
        if old_origin is not None and origin is not None and origin.is_in_file_of(old_origin):
            raise TaskDefinitionError(
                f"The file of the task {new.name!r} ({origin.place}) is imported under two names, "
                f"{known.module} and {new.module}. Import it under one of them everywhere."
            )
        places = [each.place for each in (old_origin, origin) if each is not None]
        raise TaskDefinitionError(
            f"The task name {new.name!r} of {new.module} is taken by a task of {known.module}. Choose "
            f"another `name=`. Defined at: {', '.join(places)}."
        )
    if old_origin is None or origin is None or not origin.is_of_same_run(old_origin):
        return
    if _is_same_use(known, new) and old_origin.is_same_code(origin):
        old_origin.continue_as(origin)
        return
    is_ambiguous = not origin.is_local and not origin.rebinds(old_origin)
    if is_ambiguous or is_being_defined(origin) or old_origin.may_be_waiting():
        raise defined_twice(new.name, old_origin.place, origin.place)
    old_origin.replace_with(origin)


def _is_same_use(one: TaskDefinition, two: TaskDefinition) -> bool:
    return (
        (one.mode, one.is_async, one.relations) == (two.mode, two.is_async, two.relations)
        and one.options == two.options
        and one.driver == two.driver
        and one.timetable == two.timetable
    )


registry = TaskRegistry()
"""The tasks of this process: decorators and classes register them while modules are imported."""
