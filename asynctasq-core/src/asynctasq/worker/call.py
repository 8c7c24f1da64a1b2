"""A call as executors see it: the delivery, and how to build the task from it."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol, TypeVar

from asynctasq.errors import ArgumentsMismatch, ModelNotFound
from asynctasq.message import Delivery, id_to_text
from asynctasq.resolvers import Resolvers
from asynctasq.retry import OnMissing, RunPolicy
from asynctasq.serializers.codec import NO_PROGRESS, Codec
from asynctasq.serializers.envelope import Envelope
from asynctasq.tasks.base import BaseTask, set_field
from asynctasq.tasks.context import CurrentTask
from asynctasq.tasks.definition import TaskDefinition
from asynctasq.worker.attempt_scope import AttemptScope

T = TypeVar("T")
logger = logging.getLogger("asynctasq")


class Waits(Protocol):
    """Knows for which results the calls of a worker wait."""

    def waiting(
        self, call: "WorkerCall", message_id: bytes, /
    ) -> AbstractAsyncContextManager[None]:
        """Surround such a wait. On any event loop."""
        ...

    def note(self, call: "WorkerCall", message_id: bytes, *, begins: bool) -> None:
        """Note the begin or the end of a wait in a child process."""
        ...


class WorkerCall:
    """Implements `contracts.executor.Call`."""

    __slots__ = (
        "_codec",
        "_envelope",
        "_interrupted",
        "_loaded",
        "_report",
        "_resolvers",
        "_resources",
        "_surroundings",
        "_task",
        "_unique_models",
        "_waits",
        "definition",
        "delivery",
        "ended",
        "policy",
    )

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
    ) -> None:
        self.delivery = delivery
        self.definition = definition
        self.policy: RunPolicy = envelope.policy
        self.ended = False
        """True once the run is over."""
        self._envelope = envelope
        self._codec = codec
        self._resolvers = resolvers
        self._resources = resources
        self._report = report
        self._waits = waits
        self._task: BaseTask[Any] | None = None
        self._loaded = False
        self._interrupted = False
        self._surroundings: AttemptScope | None = None
        self._unique_models: Sequence[object] = ()

    async def load(self) -> BaseTask[Any]:
        """The task; built at the first call, the same instance afterwards."""
        task = self.load_now()
        if task is not None:
            return task
        self._task = self._bare()  # for `as_built`, should the models not be found
        self._unique_models = await self._models()
        return self._build(self._unique_models)

    def load_now(self) -> BaseTask[Any] | None:
        """The task, if it can be built without waiting."""
        if self._loaded:
            return self._task
        return None if self.has_models else self._build(())

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
        """Positional and named arguments, for people: models are the references that stand for them.

        Raises:
            BodyError: they cannot be read.
        """
        return self._codec.decode_arguments(self._envelope, self._envelope.references)

    def as_built(self) -> BaseTask[Any]:
        """The task as far as `load` came."""
        if self._task is None:
            self._task = self._bare()
        return self._task

    def _bare(self) -> BaseTask[Any]:
        """The task before its constructor runs, with what it is told of itself."""
        task = self.definition.create()
        set_field(task, "_delivery", self.delivery)
        return task

    def encode_result(self, value: object) -> bytes:
        """The value as stored."""
        return self._codec.encode_result(value, task=self.definition.name)

    def can_store(self, value: object) -> bool:
        """Check whether a value can be stored as it is."""
        return self._codec.can_store(value)

    def report_encoded(self, progress: bytes) -> None:
        """Tell how far the task is."""
        self._report(self.delivery, progress)

    def note_wait(self, message_id: bytes, *, begins: bool) -> None:
        """Note that the task, in its own process, begins or ends to wait for a result."""
        if self._waits is not None:
            self._waits.note(self, message_id, begins=begins)

    def _report_value(self, value: object) -> None:
        stored = self._codec.encode_result(
            value, task=self.definition.name, consequence=NO_PROGRESS
        )
        self._report(self.delivery, stored)

    @property
    def attended(self) -> bool:
        """Whether something is to be done around the code of the task."""
        return self._surroundings is not None or bool(self._resolvers.execution_scopes)

    async def enter(self) -> None:
        """Code of the task is about to run on this loop."""
        await self._around().enter(self._resolvers.execution_scopes)

    async def leave(self) -> None:
        """It has ended."""
        await self._around().leave()

    def run_here(self, function: Callable[[], T]) -> T:
        """Run code of the task in this thread."""
        if self._resolvers.execution_scopes:
            return self._around().run(function, self._resolvers.execution_scopes)
        try:
            return function()
        finally:
            if self._surroundings is not None:  # it has asked for them
                self._surroundings.end_here()

    def _around(self) -> AttemptScope:
        if self._surroundings is None:
            self._surroundings = AttemptScope(self.definition.name)
        return self._surroundings

    def explain(self, error: Exception) -> None:
        """Add to an error of the task what a model resolver knows about it."""
        try:
            told = self._resolvers.explain(error)
            if told and told not in getattr(error, "__notes__", ()):
                error.add_note(told)
        except Exception:
            logger.exception("A model resolver failed to explain an error of a task.")

    def interrupt(self) -> None:
        """Let the task know that it is to end early."""
        self._interrupted = True

    @property
    def has_models(self) -> bool:
        """Whether `load` has to fetch something."""
        return bool(self._envelope.references)

    def current(self) -> CurrentTask:
        """What `current_task()` returns inside it."""
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
            _scope=self._around,
            _waiting=None if self._waits is None else partial(self._waits.waiting, self),
        )
