"""One delivery to one settlement. No I/O of its own: what runs is the executor's."""

import asyncio
import logging
import math
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
    Wrapper,
)
from asynctasq.errors import (
    ArgumentsMismatch,
    BodyCorrupt,
    BodyVersion,
    ExecutorUnavailable,
    UnknownTask,
)
from asynctasq.failures import error_info
from asynctasq.hookspecs import ExecutionContext
from asynctasq.message import Delivery, id_to_text
from asynctasq.plugins.observers import Observer, Observers
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
from asynctasq.worker.call import Waits, WorkerCall
from asynctasq.worker.in_flight import InFlightMessage, Interrupt
from asynctasq.worker.run_log import log_failure

logger = logging.getLogger("asynctasq")

MISMATCHES: Mapping[type[Exception], Reason] = {
    UnknownTask: Reason.UNKNOWN_TASK,
    ArgumentsMismatch: Reason.ARGUMENTS,
    BodyVersion: Reason.UNDECODABLE,
}
"""What is worth waiting for a newer worker, and of what it dies at last."""
MISMATCH_TOLD_SECONDS = 60.0
"""Between two warnings about messages of one task."""
MISMATCHES_REMEMBERED = 1000
MISMATCH_DELAY_SECONDS = 5.0
"""Before a message that does not fit this release is offered again, to a newer one perhaps."""


class Runner:
    """Decides what becomes of a delivery, by running it."""

    def __init__(
        self,
        *,
        worker_id: str,
        codec: Codec,
        resolvers: Resolvers,
        find_task: Callable[[str], TaskDefinition],
        executors: Mapping[ExecutionMode, Executor],
        observers: Observers,
        resources: object,
        report: Callable[[Delivery, bytes], None],
        mismatch_patience: float,
        is_cancelled: Callable[[], bool],
        waits: Waits | None = None,
    ) -> None:
        self._worker_id = worker_id
        self._codec = codec
        self._resolvers = resolvers
        self._find_task = find_task
        self._executors = executors
        self._observers = observers
        self._resources = resources
        self._report = report
        self._mismatch_patience = mismatch_patience
        self._is_cancelled = is_cancelled
        self._waits = waits
        self._told_of: dict[str, float] = {}
        wrapped = observers.wrap(self._route)
        self._execute = wrapped if wrapped == self._route else partial(_checked, wrapped)

    async def run(self, running: InFlightMessage) -> Settlement | None:
        """Run one delivery to its outcome. Never raises; None if its lease is lost, or left to end."""
        delivery = running.delivery
        if (why := running.interrupt) is not None:  # before it began
            return await self._interrupted(delivery, why)
        try:
            call = self._call(delivery)
            running.call = call
            running_task.set(call.current)
            if self._observers.before_execute:
                await self._tell(self._observers.before_execute, delivery)
                if (why := running.interrupt) is not None:
                    return await self._interrupted(delivery, why)
            attempt = await self._execute(call)
        except asyncio.CancelledError as error:
            if (why := running.interrupt) is not None or self._is_cancelled():
                return await self._interrupted(delivery, why)
            attempt = Raised(error_info(error), retry=True, exception=error)
        except (UnknownTask, ArgumentsMismatch, BodyVersion) as error:
            return await self._mismatch(delivery, error)
        except BodyCorrupt as error:
            return await self._bury(delivery, Reason.UNDECODABLE, error_info(error))
        except ExecutorUnavailable as error:
            return await self._give_back(delivery, error.retry_after, ReleaseReason.NO_EXECUTOR)
        except GeneratorExit:
            raise
        except BaseException as error:  # of a plugin's wrapper, which ends no worker either
            logger.exception("Running %s failed outside the task's code.", delivery.message.task)
            attempt = Raised(error_info(error), retry=True, exception=error)
        if (
            running.interrupt is None
            and type(attempt) is Returned
            and not self._observers.after_execute
        ):
            return Complete(delivery.lease, attempt.result, delivery.message.result_ttl)
        return await self._settle(running, attempt)

    def _route(self, call: Call) -> Awaitable[AttemptResult]:
        return self._executors[call.definition.mode].execute(call)

    def _call(self, delivery: Delivery) -> WorkerCall:
        definition = self._find_task(delivery.message.task)
        if definition.mode not in self._executors:
            raise UnknownTask(
                f"This worker has no executor {definition.mode.value!r}, which the task "
                f"{definition.name!r} needs."
            )
        return WorkerCall(
            delivery,
            definition,
            self._codec.open_call(delivery.message.body),
            codec=self._codec,
            resolvers=self._resolvers,
            resources=self._resources,
            report=self._report,
            waits=self._waits,
        )

    def undecided(self, running: InFlightMessage, error: BaseException) -> Settlement:
        """What becomes of a delivery if deciding on it failed: a failed attempt, so that it is no endless one."""
        delivery = running.delivery
        described = error_info(error)
        if retries_left(delivery.attempt, delivery.message.max_attempts):
            return Retry(delivery.lease, MISMATCH_DELAY_SECONDS, described)
        return Fail(delivery.lease, Reason.FAILED, described, attempted=True)

    async def _settle(self, running: InFlightMessage, attempt: AttemptResult) -> Settlement | None:
        delivery = running.delivery
        why = running.interrupt
        if why is Interrupt.LOST or (why is not None and not isinstance(attempt, Returned)):
            # What it raised may come of the interruption; what it finished is done all the same.
            return await self._interrupted(delivery, why)
        message = delivery.message
        if self._observers.after_execute:
            await self._tell(self._observers.after_execute, delivery, attempt=attempt)
        if isinstance(attempt, Returned):
            return Complete(delivery.lease, attempt.result, message.result_ttl)
        if isinstance(attempt, Snoozed):
            return await self._give_back(delivery, attempt.delay, ReleaseReason.SNOOZED)
        if isinstance(attempt, Rejected):
            return await self._fail(running, attempt, Reason.REJECTED)
        if attempt.retry and retries_left(delivery.attempt, message.max_attempts):
            assert running.call is not None
            delay = attempt.retry_delay
            if delay is None:
                delay = retry_delay(running.call.policy, delivery.attempt, random.random)
            if self._observers.on_retry:
                await self._tell(
                    self._observers.on_retry,
                    delivery,
                    attempt=attempt,
                    error=attempt.error,
                    retry_delay=delay,
                )
            return Retry(delivery.lease, delay, attempt.error)
        return await self._fail(running, attempt, Reason.FAILED)

    async def tell_release(
        self, delivery: Delivery, why: ReleaseReason, delay: float = 0.0
    ) -> None:
        """Notify observers of a message that is given back."""
        if self._observers.on_release:
            await self._tell(self._observers.on_release, delivery, retry_delay=delay, released=why)

    async def tell_refused(self, delivery: Delivery, error: ErrorInfo) -> None:
        """Tell observers of a message that is dead because the store took none of its outcomes."""
        if self._observers.on_dead:
            await self._tell(self._observers.on_dead, delivery, error=error, reason=Reason.REFUSED)

    async def _give_back(self, delivery: Delivery, delay: float, why: ReleaseReason) -> Settlement:
        await self.tell_release(delivery, why, delay)
        return Release(delivery.lease, delay)

    async def _fail(self, running: InFlightMessage, failure: Failure, reason: Reason) -> Settlement:
        delivery = running.delivery
        call = running.call
        assert call is not None
        try:
            await self._executors[call.definition.mode].failed(call, failure)
        except asyncio.CancelledError:
            logger.warning("The failed() hook of %s was interrupted.", delivery.message.task)
        except BaseException:
            logger.exception("The failed() hook of %s raised.", delivery.message.task)
        if self._observers.on_failure:
            await self._tell(
                self._observers.on_failure, delivery, attempt=failure, error=failure.error
            )
        return await self._bury(
            delivery, reason, failure.error, attempted=True, exception=failure.exception
        )

    async def _mismatch(self, delivery: Delivery, error: Exception) -> Settlement:
        """The message is for another release: give it back for a while, then bury it."""
        if delivery.mismatched_for >= self._mismatch_patience:
            reason = next(each for kind, each in MISMATCHES.items() if isinstance(error, kind))
            return await self._bury(delivery, reason, error_info(error))
        self._tell_of_mismatch(delivery, error)
        delay = min(MISMATCH_DELAY_SECONDS, self._mismatch_patience)
        await self.tell_release(delivery, ReleaseReason.MISMATCHED, delay)
        why = replace(error_info(error), traceback="")  # which has no line of the task's code
        return Release(delivery.lease, delay, mismatched=True, error=why)

    def _tell_of_mismatch(self, delivery: Delivery, error: Exception) -> None:
        """Warn once for each task in a while: a deploy may meet a backlog of thousands."""
        task, now = delivery.message.task, time.monotonic()
        often = now < self._told_of.get(task, -math.inf) + MISMATCH_TOLD_SECONDS
        if not often:
            if len(self._told_of) >= MISMATCHES_REMEMBERED:
                self._told_of.clear()
            self._told_of[task] = now
        logger.log(
            logging.DEBUG if often else logging.WARNING,
            "Task %s of %s does not fit this worker and is given back: %s",
            id_to_text(delivery.message.id),
            task,
            error,
        )

    async def _bury(
        self,
        delivery: Delivery,
        reason: Reason,
        error: ErrorInfo,
        *,
        attempted: bool = False,
        exception: BaseException | None = None,
    ) -> Settlement:
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
        )
        if self._observers.on_dead:
            await self._tell(self._observers.on_dead, delivery, error=error, reason=reason)
        return Fail(delivery.lease, reason, error, attempted)

    async def _interrupted(self, delivery: Delivery, why: Interrupt | None) -> Settlement | None:
        match why:
            case None:
                # Cancelled with the worker and all else on its loop, at the end of it or by one task that is
                # not known. As after a crash: none of them has failed, and none may do it for ever.
                return None
            case Interrupt.LOST:
                logger.warning(
                    "Task %s of %s lost its lease and was interrupted; its outcome is discarded, and "
                    "another worker may be running it.",
                    id_to_text(delivery.message.id),
                    delivery.message.task,
                )
                if self._observers.on_lost:
                    await self._tell(self._observers.on_lost, delivery)
                return None
            case Interrupt.CANCEL:
                if self._observers.on_cancel:
                    await self._tell(self._observers.on_cancel, delivery)
                return Cancelled(delivery.lease, delivery.message.result_ttl)
            case Interrupt.STOP:
                return await self._give_back(delivery, 0.0, ReleaseReason.INTERRUPTED)

    async def _tell(
        self,
        observers: tuple[Observer, ...],
        delivery: Delivery,
        *,
        attempt: AttemptResult | None = None,
        error: ErrorInfo | None = None,
        reason: Reason | None = None,
        retry_delay: float | None = None,
        released: ReleaseReason | None = None,
    ) -> None:
        context = ExecutionContext(
            delivery, self._worker_id, attempt, error, reason, retry_delay, released
        )
        try:
            await self._observers.notify(observers, context)
        except asyncio.CancelledError:  # observers change nothing, not even by being interrupted
            logger.warning("Observers of %s were interrupted.", delivery.message.task)


async def _checked(wrapped: Wrapper, call: Call) -> AttemptResult:
    """What a plugin's wrapper returned, if it is an outcome."""
    attempt: object = await wrapped(call)
    if isinstance(attempt, Returned | Snoozed | Raised | Rejected):
        return attempt
    raise TypeError(f"A plugin's wrap_execute gave {attempt!r}, which is no outcome of a task.")
