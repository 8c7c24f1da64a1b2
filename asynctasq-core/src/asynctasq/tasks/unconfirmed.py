"""IDs of dispatches that may have reached the store although they raised.

A task object keeps such an id for its next dispatch. A store ignores the enqueue of an id that it knows, so
repeating the dispatch of the same object never adds a second message.
"""

from typing import TYPE_CHECKING, Any, Protocol

from asynctasq.message import id_from_text, id_to_text

if TYPE_CHECKING:
    from asynctasq.tasks.base import BaseTask


class Unconfirmed(Protocol):
    """Keeps the ids that a task object may have to use again."""

    def ids_of(self, task: "BaseTask[Any]") -> list[bytes]:
        """Return the ids for the next dispatches of the task, and forget them."""
        ...


class KeptIds:
    """The ids of one task object."""

    def __init__(self, ids: list[bytes]) -> None:
        self._ids = ids

    def ids_of(self, task: "BaseTask[Any]") -> list[bytes]:  # noqa: ARG002  all ids are of this task
        """Return the ids."""
        return self._ids


class Batch:
    """The tasks of one `dispatch_many`: if it raises, the accepted tasks keep their ids too.

    Tasks refer to the batch and not the batch to its tasks, so that a generator of millions of tasks needs
    no memory for tasks that are dispatched.
    """

    def __init__(self) -> None:
        self.has_failed = False
        self._repeated: dict[int, tuple[BaseTask[Any], list[bytes]]] = {}
        """Tasks that were passed more than once, with the ids of all their messages but the last."""

    def repeat(self, task: "BaseTask[Any]") -> None:
        """Note the id of a task that is about to get that of another message of this batch."""
        if task._task_id is not None:
            _, ids = self._repeated.setdefault(id(task), (task, []))
            ids.append(id_from_text(task._task_id))

    def ids_of(self, task: "BaseTask[Any]") -> list[bytes]:
        """Return the ids that the task got from this batch, if the batch has failed."""
        if not self.has_failed or task._task_id is None:
            return []
        _, ids = self._repeated.pop(id(task), (task, []))
        return [*ids, id_from_text(task._task_id)]


def take_id(task: "BaseTask[Any]") -> bytes | None:
    """Return the kept id for the next dispatch of a task, once; None if the task needs a new one."""
    kept = task._unconfirmed
    if kept is None:
        return None
    ids = kept.ids_of(task)
    _set(task, KeptIds(ids[1:]) if len(ids) > 1 else None)
    return ids[0] if ids else None


def keep_id(task: "BaseTask[Any]", message_id: bytes) -> None:
    """Let a task use this id at one of its next dispatches."""
    kept = task._unconfirmed
    _set(task, KeptIds([*kept.ids_of(task), message_id] if kept is not None else [message_id]))
    object.__setattr__(task, "_task_id", id_to_text(message_id))


def _set(task: "BaseTask[Any]", value: Unconfirmed | None) -> None:
    object.__setattr__(task, "_unconfirmed", value)  # past the `__setattr__` of frozen dataclasses
