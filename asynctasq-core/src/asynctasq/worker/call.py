"""The call that executors receive: a delivery, and the construction of its task."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol, TypeVar

from asynctasq.errors import ArgumentsMismatch, ModelNotFound
from asynctasq.message import Delivery, id_to_text
from asynctasq.plugins.observers import Observer
from asynctasq.plugins.surrounding import Surrounding
from asynctasq.resolvers import Resolvers
from asynctasq.retry import OnMissing, RunPolicy
from asynctasq.serializers.codec import NO_PROGRESS, Codec
from asynctasq.serializers.envelope import Envelope
from asynctasq.tasks.base import BaseTask, set_field
from asynctasq.tasks.context import CurrentTask
from asynctasq.tasks.definition import TaskDefinition
from asynctasq.worker.attempt_scope import AttemptScope
from asynctasq.worker.completion import BoundCompletion, CallCompleter
from asynctasq.worker.run_notes import RunNotes

T = TypeVar("T")
logger = logging.getLogger("asynctasq")


class Waits(Protocol):
    """Notes for which results the calls of a worker wait."""

    def waiting(
        self, call: "WorkerCall", message_id: bytes, /
    ) -> AbstractAsyncContextManager[None]:
        """Surround a wait for a result. Works on any event loop."""
        ...

    def note(self, call: "WorkerCall", message_id: bytes, *, begins: bool) -> None:
        """Note the start or the end of a wait in a child process."""
        ...


class WorkerCall:
    """Implements `contracts.executor.Call`."""

    __slots__ = (
        "_codec",
        "_completer",
        "_envelope",
        "_interrupted",
        "_loaded",
        "_report",
        "_resolvers",
        "_resources",
        "_scope",
        "_task",
        "_unique_models",
        "_waits",
        "completion",
        "definition",
        "delivery",
        "ended",
        "notes",
        "policy",
        "started_at",
    )

    surrounding: Surrounding | None = None  # a class attribute costs nothing per call
    """The context managers of plugins around `execute`; None if there are none."""
    notes: RunNotes
    """Facts about the run for observers; set only if there are some."""

    def __init__(
        self,
        delivery: Delivery,
        definition: TaskDefinition,
        envelope: Envelope,
        *,
        codec: Codec,
        resolvers: Resolvers,
        resources: object,
        report: Callable[[Delivery, bytes], None],
        waits: "Waits | None" = None,
        completer: CallCompleter | None = None,
        started_at: float = 0.0,
    ) -> None:
        self.delivery = delivery
        self.definition = definition
        self.policy: RunPolicy = envelope.policy
        self.ended = False
        """True once the run is over."""
        self.started_at = started_at
        """Monotonic time at which the run started; 0.0 if it is not known."""
        self.completion: bytes | None = None
        """The result with which the task has completed itself in a transaction, committed or not."""
        self._completer = completer
        self._envelope = envelope
        self._codec = codec
        self._resolvers = resolvers
        self._resources = resources
        self._report = report
        self._waits = waits
        self._task: BaseTask[Any] | None = None
        self._loaded = False
        self._interrupted = False
        self._scope: AttemptScope | None = None
        self._unique_models: Sequence[object] = ()

    async def load(self) -> BaseTask[Any]:
        """Return the task, which the first call builds."""
        task = self.load_now()
        if task is not None:
            return task
        self._task = self._bare()  # for `as_built`, should the models not be found
        self._unique_models = await self._models()
        return self._build(self._unique_models)

    def load_now(self) -> BaseTask[Any] | None:
        """Return the task if it can be built without waiting, otherwise None."""
        if self._loaded:
            return self._task
        return None if self._envelope.references else self._build(())

    def _build(self, models: Sequence[object]) -> BaseTask[Any]:
        self._task = task = self._bare()
        args, kwargs = self._codec.decode_arguments(self._envelope, models)
        try:
            self.definition.check(*args, **kwargs)
        except TypeError as error:
            raise ArgumentsMismatch(str(error)) from error
        task.__init__(*args, **kwargs)  # type: ignore[misc]  # after the metadata, which it may read
        self._loaded = True
        return task

    async def _models(self) -> Sequence[object]:
        on_missing = self.policy.on_missing
        try:
            return await self._resolvers.resolve(
                self._envelope.references,
                relations=self.definition.relations,
                missing_ok=on_missing is OnMissing.NONE,
            )
        except ModelNotFound as error:
            error.on_missing = on_missing
            raise

    def arguments(self) -> tuple[list[object], dict[str, object]]:
        """Return positional and named arguments for display, with references in place of models.

        Raises:
            BodyError: the arguments cannot be decoded.
        """
        return self._codec.decode_arguments(self._envelope, self._envelope.references)

    def as_built(self) -> BaseTask[Any]:
        """Return the task as far as `load` has built it."""
        if self._task is None:
            self._task = self._bare()
        return self._task

    def _bare(self) -> BaseTask[Any]:
        """Return the task before its constructor runs, with its delivery."""
        task = self.definition.create()
        set_field(task, "_delivery", self.delivery)
        return task

    def encode_result(self, value: object) -> bytes:
        """Return the stored form of a result."""
        return self._codec.encode_result(value, task=self.definition.name)

    def can_store(self, value: object) -> bool:
        """Check whether a value can be stored unchanged."""
        return self._codec.can_store(value)

    def report_encoded(self, progress: bytes) -> None:
        """Report the encoded progress of the task."""
        self._report(self.delivery, progress)

    def note_wait(self, message_id: bytes, *, begins: bool) -> None:
        """Note the start or the end of a wait of the task, which runs in a child process."""
        if self._waits is not None:
            self._waits.note(self, message_id, begins=begins)

    def _report_value(self, value: object) -> None:
        stored = self._codec.encode_result(
            value, task=self.definition.name, consequence=NO_PROGRESS
        )
        self._report(self.delivery, stored)

    @property
    def attended(self) -> bool:
        """True if resolvers or cleanup functions surround the code of the task."""
        return self._scope is not None or bool(self._resolvers.execution_scopes)

    async def enter(self) -> None:
        """Enter the scope before code of the task runs on this loop."""
        await self._scope_of_attempt().enter(self._resolvers.execution_scopes)

    async def leave(self) -> None:
        """Leave the scope after the code has ended."""
        await self._scope_of_attempt().leave()

    def run_here(self, function: Callable[[], T]) -> T:
        """Run code of the task in this thread."""
        if self._resolvers.execution_scopes:
            return self._scope_of_attempt().run(function, self._resolvers.execution_scopes)
        try:
            return function()
        finally:
            if self._scope is not None:  # the task has used its scope
                self._scope.end_here()

    def _scope_of_attempt(self) -> AttemptScope:
        if self._scope is None:
            self._scope = AttemptScope(self.definition.name)
        return self._scope

    def explain(self, error: Exception) -> None:
        """Add the explanation of a model resolver to an error of the task."""
        try:
            note = self._resolvers.explain(error)
            if note and note not in getattr(error, "__notes__", ()):
                error.add_note(note)
        except Exception:
            logger.exception(
                "A model resolver failed to explain an error of task %s",
                self.definition.name,
                extra={"task": self.definition.name},
            )

    def interrupt(self) -> None:
        """Make the task report that it is interrupted."""
        self._interrupted = True

    @property
    def has_models(self) -> bool:
        """True if `load` has to fetch models."""
        return bool(self._envelope.references)

    def current(self) -> CurrentTask:
        """Return the value of `current_task()` inside the task."""
        message = self.delivery.message
        return CurrentTask(
            id=id_to_text(message.id),
            name=message.task,
            queue=message.queue,
            attempt=self.delivery.attempt,
            max_attempts=message.max_attempts,
            dispatched_at=datetime.fromtimestamp(self.delivery.enqueued_at, UTC),
            headers=message.headers,
            resources=self._resources,
            models=self._unique_models,
            _report=self._report_value,
            _is_interrupted=lambda: self._interrupted,
            _scope=self._scope_of_attempt,
            _waiting=None if self._waits is None else partial(self._waits.waiting, self),
            _completion=None if self._completer is None else BoundCompletion(self._completer, self),
            scheduled_for=None
            if message.schedule is None
            else datetime.fromtimestamp(message.schedule.fire_time, UTC),
        )


class SurroundedCall(WorkerCall):
    """A call whose code runs within context managers of plugins."""

    __slots__ = ("_observers",)

    def __init__(self, *args: Any, surround: tuple[Observer, ...], **options: Any) -> None:
        super().__init__(*args, **options)
        self._observers = surround

    @property
    def surrounding(self) -> Surrounding | None:  # type: ignore[override]  # it is only read
        """New context managers around `execute`."""
        return Surrounding(self._observers, self.current())


def call_class(surround: tuple[Observer, ...]) -> Callable[..., WorkerCall]:
    """Return the class of calls that run within `surround`: hooks that return context managers."""
    return partial(SurroundedCall, surround=surround) if surround else WorkerCall
