"""The application in a child; the function that `ProcessSettings.bootstrap` names creates it."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from asynctasq.contracts.executor import Call
from asynctasq.message import Delivery
from asynctasq.tasks.context import CurrentTask


class ChildCall(Call, Protocol):
    """A call in a child."""

    @property
    def has_models(self) -> bool:
        """True if `load` has to fetch models."""
        ...

    def current(self) -> CurrentTask:
        """Return the object that `current_task()` returns inside the task."""
        ...


class ChildApplication(Protocol):
    """The application in a child of a worker."""

    async def open(self) -> None:
        """Prepare the resources of tasks."""
        ...

    async def close(self) -> None:
        """Release all resources."""
        ...

    def make_call(
        self,
        delivery: Delivery,
        module: str,
        report: Callable[[bytes], None],
        note_wait: Callable[[bytes, bool], None],
    ) -> ChildCall:
        """Create the call of a delivery whose task is defined in `module`.

        Args:
            delivery: delivery of the message.
            module: imported if the task is not registered.
            report: called with encoded progress.
            note_wait: called with the id of a message when the task begins (True) or ends (False) to
                wait for its result.

        Raises:
            UnknownTask: the task is not registered here.
            BodyError: the body cannot be read.
            Exception: the module cannot be imported.
        """
        ...


Bootstrap = Callable[[Mapping[str, Any]], ChildApplication]
