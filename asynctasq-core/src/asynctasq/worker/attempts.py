"""The attempts of a worker: starts messages when slots are free, and ends all of them at the end."""

import asyncio
import contextvars
import logging
import time

from asynctasq.message import Delivery, id_to_text
from asynctasq.settlement import Release, ReleaseReason
from asynctasq.worker.events import WorkerEvents
from asynctasq.worker.fetcher import Fetcher
from asynctasq.worker.in_flight import InFlight, InFlightMessage, Interrupt
from asynctasq.worker.lending import Lending
from asynctasq.worker.notices import Notices
from asynctasq.worker.run_log import log_second_run, task_fields
from asynctasq.worker.runner import Runner
from asynctasq.worker.settler import Settler
from asynctasq.worker.slots import Slots
from asynctasq.worker.timing import EngineTiming

logger = logging.getLogger("asynctasq")


class Attempts:
    """Runs deliveries in slots, one asyncio task each; implements `fetcher.Intake`."""

    def __init__(
        self,
        *,
        fetcher: Fetcher,
        slots: Slots,
        in_flight: InFlight,
        lending: Lending,
        settler: Settler,
        notices: Notices,
        events: WorkerEvents,
        timing: EngineTiming,
    ) -> None:
        """Make the attempts; `runner` is set before the first delivery comes."""
        self._fetcher = fetcher
        self._slots = slots
        self._in_flight = in_flight
        self._lending = lending
        self._settler = settler
        self._notices = notices
        self._events = events
        self._timing = timing
        self._context = contextvars.copy_context()
        self._tasks: set[asyncio.Task[None]] = set()
        self.runner: Runner
        """Decides on each delivery; needs the resources of the lifespan."""
        self.hurry = asyncio.Event()
        """Set to end the grace period at once."""
        self.stuck = False
        """True if code of a task still runs at the end that could not be interrupted."""

    def accept(self, deliveries: list[Delivery]) -> None:
        """Start new deliveries, or prefetch those without a free slot."""
        prefetched, held = self._in_flight.prefetched, self._in_flight.held
        refusal = self._timing.refusal
        for delivery in deliveries:
            message = InFlightMessage(delivery, refusal)
            held.add(message)
            if not prefetched and self._slots.free > 0 and not self._fetcher.stopping:
                self._start_one(message)
            else:
                prefetched.append(message)

    def start_prefetched(self) -> None:
        """Start prefetched messages while slots are free."""
        prefetched = self._in_flight.prefetched
        while prefetched and self._slots.free > 0 and not self._fetcher.stopping:
            message = prefetched.popleft()
            if message.interrupt is Interrupt.LOST:
                self._in_flight.forget([message])
                if self._notices.settled.observed:
                    self._notices.settled.lost(message)
                self._fetcher.notice()
            else:  # the runner settles one that was cancelled meanwhile
                self._start_one(message)

    def slot_lent(self) -> None:
        """Use a slot that a waiting task has lent."""
        self.start_prefetched()
        self._fetcher.notice()

    def release_prefetched(self) -> None:
        """Release all prefetched messages."""
        while self._in_flight.prefetched:
            self._release(self._in_flight.prefetched.popleft())

    def _start_one(self, message: InFlightMessage) -> None:
        work = self._work(message)
        # A new context: the task that ends here may have set variables in this one.
        context = self._context.copy()
        try:
            task = asyncio.get_running_loop().create_task(work, context=context)
        except Exception:
            work.close()
            name = message.delivery.message.task
            logger.exception(
                "Could not start task %s; releasing it", name, extra=task_fields(message.delivery)
            )
            self._release(message)
            return
        message.task = task
        self._tasks.add(task)
        if not self._slots.take(message.delivery.message.queue):
            self._fetcher.stop()

    async def _work(self, message: InFlightMessage) -> None:
        delivery = message.delivery
        message.started_at = time.monotonic()
        if self._events.active:
            self._events.started(message)
        if delivery.lost:
            log_second_run(delivery)
        try:
            settlement = await self.runner.run(message)
        except asyncio.CancelledError:
            settlement = None if message.interrupt is Interrupt.LOST else Release(delivery.lease)
        except GeneratorExit:  # the loop was closed
            raise
        except BaseException as error:
            name = delivery.message.task
            logger.exception("Deciding on task %s failed", name, extra=task_fields(delivery))
            settlement = self.runner.undecided(message, error)
        message.ended_at = ended_at = time.monotonic()
        if message.task is not None:  # a callback for this takes 200 bytes of each that sleeps
            self._tasks.discard(message.task)
        try:
            if message not in self._in_flight.held:  # released while it ran
                self._in_flight.forget([message])
            elif settlement is None:
                self._in_flight.forget([message])
                self._report_unsettled(message)
            else:
                self._settler.add(message, settlement)
        finally:
            call = message.call
            if call is not None:
                call.ended = True
                if self._lending.used:
                    self._lending.run_ended(call)
            self._slots.give(delivery.message.queue, message.started_at, ended_at)
            self.start_prefetched()
            self._fetcher.notice()

    def _report_unsettled(self, message: InFlightMessage) -> None:
        settled = self._notices.settled
        if not settled.observed:
            return
        if message.notes is not None and message.notes.committed:
            settled.completed(message)
        else:
            settled.lost(message)

    def _release(
        self, message: InFlightMessage, why: ReleaseReason = ReleaseReason.NOT_STARTED
    ) -> None:
        self._settler.add(message, Release(message.delivery.lease))
        self._notices.released(message, why)

    # The end of the worker.

    async def finish(self, grace_period: float) -> None:
        """Release waiting messages, wait for running tasks, then interrupt them, and settle everything."""
        self.release_prefetched()
        if not await self._ended_within(grace_period):
            logger.warning(
                "%s; interrupting %d running tasks and releasing those that do not complete",
                "Received a second stop request" if self.hurry.is_set() else "Grace period expired",
                len(self._tasks),
            )
            self._report_waiting()
            for message in self._in_flight.held:
                message.end_early(Interrupt.STOP)
            self.hurry.clear()
            if not await self._ended_within(self._timing.interrupted):
                self._release_stuck()
        try:
            async with asyncio.timeout(self._timing.settle_at_end):
                await self._settler.drain()
        except TimeoutError:
            await self._settler.abandon()
        await self._notices.finish(self._timing.interrupted)

    def _report_waiting(self) -> None:
        """Warn if tasks have not ended because this worker no longer fetches what they wait for.

        They would wait again in the next worker, which may end in the same way.
        """
        waiting = [
            each.delivery.message
            for each in self._in_flight.held
            if each.call is not None and self._lending.has_waits(each.call)
        ]
        if waiting and self._slots.used_up:
            task_id, name = id_to_text(waiting[0].id), waiting[0].task
            logger.warning(
                "%d interrupted tasks waited for results of tasks that this worker no longer fetched, "
                "because it has reached max_tasks; for example, task %s of %s. Raise max_tasks, or give "
                "the inner tasks their own queue and worker.",
                len(waiting),
                task_id,
                name,
                extra={"task_id": task_id, "task": name},
            )

    async def _ended_within(self, seconds: float) -> bool:
        """Wait until nothing runs, up to a limit, and only until `hurry` is set."""
        if not self._tasks:
            return True
        hurry = asyncio.ensure_future(self.hurry.wait())
        ended = asyncio.ensure_future(asyncio.wait(self._tasks.copy()))
        await asyncio.wait([hurry, ended], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        ended.cancel()
        await asyncio.wait([hurry, ended])
        return not self._tasks

    def _release_stuck(self) -> None:
        """Release messages whose runs cannot be interrupted: those end with the process at the latest."""
        stuck = [each for each in self._in_flight.held if each.task in self._tasks]
        names = sorted({each.delivery.message.task for each in stuck})
        logger.error(
            "Releasing %d tasks that were interrupted but are still running: %s",
            len(stuck),
            ", ".join(names),
            extra={"task_ids": [id_to_text(each.delivery.message.id) for each in stuck]},
        )
        self.stuck = True
        for message in stuck:
            self._in_flight.held.discard(message)
            self._release(message, ReleaseReason.STILL_RUNNING)
