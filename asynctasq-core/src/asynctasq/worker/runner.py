"""From one delivery to one settlement. Executors run the code of tasks; this module does no I/O."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial

from asynctasq.contracts.executor import (
    AttemptResult,
    Call,
    Executor,
    Failure,
    Raised,
    Rejected,
    Returned,
    Snoozed,
)
from asynctasq.errors import (
    ArgumentsMismatch,
    BodyCorrupt,
    BodyVersion,
    CompletionRolledBack,
    ExecutorUnavailable,
    UnknownTask,
)
from asynctasq.failures import error_info
from asynctasq.message import Delivery, id_to_text
from asynctasq.resolvers import Resolvers
from asynctasq.retry import retries_left, retry_delay
from asynctasq.serializers.codec import Codec
from asynctasq.settlement import (
    Cancelled,
    Complete,
    ErrorInfo,
    Fail,
    Reason,
    Release,
    ReleaseReason,
    Retry,
    Settlement,
)
from asynctasq.tasks.context import running_task
from asynctasq.tasks.definition import ExecutionMode, TaskDefinition
from asynctasq.worker.call import Waits, WorkerCall, call_class
from asynctasq.worker.completion import CallCompleter
from asynctasq.worker.execution import checked, timed
from asynctasq.worker.in_flight import InFlightMessage, Interrupt
from asynctasq.worker.life import Life
from asynctasq.worker.mismatches import MismatchWarnings, reason_of
from asynctasq.worker.notices import Notices
from asynctasq.worker.run_log import log_failure, task_fields
from asynctasq.worker.run_notes import RunNotes
from asynctasq.worker.timing import RunnerTiming

logger = logging.getLogger("asynctasq")


class Runner:
    """Runs deliveries, and decides on the settlement of each."""

    def __init__(
        self,
        *,
        codec: Codec,
        resolvers: Resolvers,
        find_task: Callable[[str], TaskDefinition],
        executors: Mapping[ExecutionMode, Executor],
        notices: Notices,
        resources: object,
        report: Callable[[Delivery, bytes], None],
        mismatch_patience: float,
        life: Life | None = None,
        waits: Waits | None = None,
        completer: CallCompleter | None = None,
        timing: RunnerTiming | None = None,
    ) -> None:
        """Make a runner.

        Args:
            codec: decodes arguments and encodes results.
            resolvers: of models among the arguments.
            find_task: finds the definition of a task by its name.
            executors: by mode.
            notices: notify the observers.
            resources: of the app's lifespan.
            report: receives the encoded progress of a delivery.
            mismatch_patience: seconds for which messages that do not fit this worker are released.
            life: of the worker; None if its cancellation does not matter.
            waits: notes the waits of tasks for results.
            completer: completes tasks in transactions.
            timing: durations.
        """
        self._codec = codec
        self._resolvers = resolvers
        self._find_task = find_task
        self._executors = executors
        self._notices = notices
        self._observers = observers = notices.observers
        self._resources = resources
        self._report = report
        self._mismatch_patience = mismatch_patience
        self._life = life
        self._waits = waits
        self._completer = completer
        self._timing = timing or RunnerTiming()
        self._mismatches = MismatchWarnings(self._timing.warning)
        self._new_call = call_class(observers.wrap_task)
        self._open = self._noted_call if notices.has_run_observers else self._call
        wrapped = observers.wrap(self._route)
        self._execute: Callable[[WorkerCall], Awaitable[AttemptResult]] = (
            wrapped if wrapped == self._route else partial(checked, wrapped)
        )
        if notices.has_run_observers:
            self._execute = partial(timed, self._execute)

    async def run(self, held: InFlightMessage) -> Settlement | None:
        """Run one delivery and return its settlement; None if its lease is lost, or left to expire.

        Errors of tasks and plugins decide on the settlement; they are not raised.
        """
        delivery = held.delivery
        if (why := held.interrupt) is not None:  # before the run started
            return await self._interrupted(held, why)
        call: WorkerCall | None = None
        try:
            call = self._open(held)
            held.call = call
            running_task.set(call.current)
            if self._observers.before_execute:
                await self._notices.notify(self._observers.before_execute, held)
                if (why := held.interrupt) is not None:
                    return await self._interrupted(held, why)
            attempt = await self._execute(call)
        except asyncio.CancelledError as error:
            if (why := held.interrupt) is not None or (
                self._life is not None and self._life.is_cancelled
            ):
                return await self._interrupted(held, why)
            attempt = Raised(error_info(error), retry=True, exception=error)
        except (UnknownTask, ArgumentsMismatch, BodyVersion) as error:
            return await self._mismatch(held, error)
        except BodyCorrupt as error:
            _never_ran(held)
            return await self._dead_letter(held, Reason.UNDECODABLE, error_info(error))
        except ExecutorUnavailable as error:
            _never_ran(held)
            return await self._release(held, error.retry_after, ReleaseReason.NO_EXECUTOR)
        except GeneratorExit:
            raise
        except BaseException as error:
            # A plugin's wrapper raised; even a `SystemExit` of it does not end the worker.
            logger.exception(
                "Running task %s failed outside of its code",
                delivery.message.task,
                extra=task_fields(delivery),
            )
            attempt = Raised(error_info(error), retry=True, exception=error)
        if (
            held.interrupt is None
            and type(attempt) is Returned
            and call is not None
            and call.completion is None
            and held.notes is None
        ):
            return Complete(delivery.lease, attempt.result, delivery.message.result_ttl)
        return await self._settle(held, attempt)

    def _route(self, call: Call) -> Awaitable[AttemptResult]:
        return self._executors[call.definition.mode].execute(call)

    def _noted_call(self, held: InFlightMessage) -> WorkerCall:
        held.notes = notes = RunNotes(time.time())
        call = self._call(held)
        call.notes = notes
        return call

    def _call(self, held: InFlightMessage) -> WorkerCall:
        delivery = held.delivery
        definition = self._find_task(delivery.message.task)
        if definition.mode not in self._executors:
            raise UnknownTask(
                f"This worker has no executor {definition.mode.value!r}, which the task "
                f"{definition.name!r} needs."
            )
        return self._new_call(
            delivery,
            definition,
            self._codec.open_call(delivery.message.body),
            codec=self._codec,
            resolvers=self._resolvers,
            resources=self._resources,
            report=self._report,
            waits=self._waits,
            completer=self._completer,
            started_at=held.started_at,
        )

    async def _is_committed(self, held: InFlightMessage, *, returned: bool = False) -> bool:
        """Return whether a task has completed itself in a transaction that was committed."""
        call, completer = held.call, self._completer
        if call is None or completer is None or call.completion is None:
            return False
        committed = await completer.is_committed(call, returned=returned)
        if held.notes is not None:
            held.notes.committed = committed
        return committed

    async def _notices_of_completion(self, held: InFlightMessage, result: bytes) -> None:
        attempt = Returned(result)
        if held.notes is not None:
            held.notes.attempt = attempt
        if self._observers.after_execute:
            await self._notices.notify(self._observers.after_execute, held, attempt=attempt)

    def undecided(self, held: InFlightMessage, error: BaseException) -> Settlement:
        """Return the settlement of a delivery on which `run` could not decide.

        It counts as a failed attempt, so that it is not repeated endlessly.
        """
        delivery = held.delivery
        described = error_info(error)
        if retries_left(delivery.attempt, delivery.message.max_attempts):
            return Retry(delivery.lease, self._timing.mismatch, described)
        return Fail(delivery.lease, Reason.FAILED, described, attempted=True)

    async def _settle(self, held: InFlightMessage, attempt: AttemptResult) -> Settlement | None:
        delivery = held.delivery
        if held.call is not None and held.call.completion is not None:
            if await self._is_committed(held, returned=isinstance(attempt, Returned)):
                await self._notices_of_completion(held, held.call.completion)
                return None
            attempt = _rolled_back(attempt)
        why = held.interrupt
        if why is Interrupt.LOST or (why is not None and not isinstance(attempt, Returned)):
            # An error may be due to the interruption. A run that finished is done regardless.
            return await self._interrupted(held, why)
        message = delivery.message
        if held.notes is not None:
            held.notes.attempt = attempt
        if self._observers.after_execute:
            await self._notices.notify(self._observers.after_execute, held, attempt=attempt)
        if isinstance(attempt, Returned):
            return Complete(delivery.lease, attempt.result, message.result_ttl)
        if isinstance(attempt, Snoozed):
            return await self._release(held, attempt.delay, ReleaseReason.SNOOZED)
        if isinstance(attempt, Rejected):
            return await self._fail(held, attempt, Reason.REJECTED)
        if attempt.retry and retries_left(delivery.attempt, message.max_attempts):
            assert held.call is not None
            delay = attempt.retry_delay
            if delay is None:
                delay = retry_delay(held.call.policy, delivery.attempt, random.random)
            if self._observers.on_retry:
                await self._notices.notify(
                    self._observers.on_retry,
                    held,
                    attempt=attempt,
                    error=attempt.error,
                    retry_delay=delay,
                )
            return Retry(delivery.lease, delay, attempt.error)
        return await self._fail(held, attempt, Reason.FAILED)

    async def _release(self, held: InFlightMessage, delay: float, why: ReleaseReason) -> Settlement:
        await self._notices.notify_release(held, why, delay)
        return Release(held.delivery.lease, delay)

    async def _fail(self, held: InFlightMessage, failure: Failure, reason: Reason) -> Settlement:
        delivery = held.delivery
        call = held.call
        assert call is not None
        try:
            await self._executors[call.definition.mode].failed(call, failure)
        except asyncio.CancelledError:
            logger.warning(
                "The failed() hook of task %s was interrupted",
                delivery.message.task,
                extra=task_fields(delivery),
            )
        except BaseException:
            logger.exception(
                "The failed() hook of task %s raised",
                delivery.message.task,
                extra=task_fields(delivery),
            )
        if self._observers.on_failure:
            await self._notices.notify(
                self._observers.on_failure, held, attempt=failure, error=failure.error
            )
        return await self._dead_letter(
            held, reason, failure.error, attempted=True, exception=failure.exception
        )

    async def _mismatch(self, held: InFlightMessage, error: Exception) -> Settlement:
        """Release a message that fits another release; after a while, make it a dead letter."""
        _never_ran(held)
        delivery = held.delivery
        if delivery.mismatched_for >= self._mismatch_patience:
            return await self._dead_letter(held, reason_of(error), error_info(error))
        self._mismatches.warn(delivery, error)
        delay = min(self._timing.mismatch, self._mismatch_patience)
        await self._notices.notify_release(held, ReleaseReason.MISMATCHED, delay)
        why = replace(error_info(error), traceback="")  # it has no line of the task's code
        return Release(delivery.lease, delay, mismatched=True, error=why)

    async def _dead_letter(
        self,
        held: InFlightMessage,
        reason: Reason,
        error: ErrorInfo,
        *,
        attempted: bool = False,
        exception: BaseException | None = None,
    ) -> Settlement:
        delivery = held.delivery
        log_failure(
            logging.ERROR,
            "Task %s of %s is dead (%s): %s: %s",
            id_to_text(delivery.message.id),
            delivery.message.task,
            reason.value,
            error.type,
            error.message,
            error=error,
            exception=exception,
            extra=task_fields(delivery) | {"reason": reason.value},
        )
        if self._observers.on_dead:
            await self._notices.notify(self._observers.on_dead, held, error=error, reason=reason)
        return Fail(delivery.lease, reason, error, attempted)

    async def _interrupted(self, held: InFlightMessage, why: Interrupt | None) -> Settlement | None:
        if await self._is_committed(held):
            return None
        delivery = held.delivery
        match why:
            case None:
                # Cancelled together with the worker, by its end or by a task that cancels everything. As
                # after a crash, no run has failed, and the number of such runs is limited.
                return None
            case Interrupt.LOST:
                logger.warning(
                    "Task %s of %s lost its lease and was interrupted; its outcome is discarded, and "
                    "another worker may be running it",
                    id_to_text(delivery.message.id),
                    delivery.message.task,
                    extra=task_fields(delivery),
                )
                if self._observers.on_lost:
                    await self._notices.notify(self._observers.on_lost, held)
                return None
            case Interrupt.CANCEL:
                if self._observers.on_cancel:
                    await self._notices.notify(self._observers.on_cancel, held)
                return Cancelled(delivery.lease, delivery.message.result_ttl)
            case Interrupt.STOP:
                return await self._release(held, 0.0, ReleaseReason.INTERRUPTED)


def _never_ran(held: InFlightMessage) -> None:
    """Drop the run time of a message whose task could not be started."""
    if held.notes is not None:
        held.notes.duration = None


def _rolled_back(attempt: AttemptResult) -> AttemptResult:
    """Return the outcome of a task that was completed in a transaction which was rolled back.

    If that is wrong because the transaction is still open, and then committed, the store finds the lease gone.
    """
    if not isinstance(attempt, Returned):
        return attempt
    error = CompletionRolledBack(
        "The transaction in which the task was completed was rolled back, or was still open when the task "
        "returned."
    )
    return Raised(error_info(error), retry=True, exception=error)
