"""What a child works with; made by the function that `ProcessSettings.bootstrap` names."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from asynctasq.contracts.executor import Call
from asynctasq.message import Delivery
from asynctasq.tasks.context import CurrentTask


class ChildCall(Call, Protocol):
    """A call in a child."""

    @property
    def has_models(self) -> bool:
        """Whether `load` has to fetch something."""
        ...

    def current(self) -> CurrentTask:
        """What `current_task()` returns inside it."""
        ...


class ChildApplication(Protocol):
    """The application, as a child of a worker sees it."""

    async def open(self) -> None:
        """Make ready what tasks use."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...

    def make_call(
        self,
        delivery: Delivery,
        module: str,
        report: Callable[[bytes], None],
        note_wait: Callable[[bytes, bool], None],
    ) -> ChildCall:
        """The call of a delivery whose task is defined in `module`.

        Args:
            delivery: of the message.
            module: imported if the task is not known.
            report: takes progress.
            note_wait: called with the id of a message when the task begins (True) or ends (False) to
                wait for its result.

        Raises:
            UnknownTask: there is no such task here.
            BodyError: the body cannot be read.
            Exception: the module cannot be imported.
        """
        ...


Bootstrap = Callable[[Mapping[str, Any]], ChildApplication]
