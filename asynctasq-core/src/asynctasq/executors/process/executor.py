"""The executor that runs tasks in child processes."""

import asyncio
import logging
from collections import OrderedDict
from contextlib import suppress

from asynctasq.contracts.executor import AttemptResult, Call, Failure, Raised
from asynctasq.errors import ChildDied, TaskTimeout
from asynctasq.executors.process.child import ChildProcess
from asynctasq.executors.process.frames import (
    CANCELLED,
    FAILED,
    JUDGE,
    RETURNED,
    RUN,
    Frame,
    pack_order,
    read_attempt,
)
from asynctasq.executors.process.pool import CANCEL_SECONDS, ProcessPool
from asynctasq.executors.process.settings import ProcessSettings
from asynctasq.executors.process.work_item import WorkItem
from asynctasq.failures import error_info
from asynctasq.settlement import ErrorInfo

logger = logging.getLogger("asynctasq")

JUDGE_SECONDS = 30.0
"""Timeout of `should_retry` for an error that the process of the task did not survive."""
FAILED_KEPT = 1000
"""Limit of failed runs whose hooks were not called; reached only if a plugin swallows failures."""
LAST_NUMBER = 2**32 - 1


class ProcessExecutor:
    """Executor of the mode `process`.

    A child runs one task at a time. If its process crashes, only this attempt ends. To interrupt a sync
    task, the executor kills its process. An async task is cancelled, and its process is killed if the task
    does not end within a second. The exception of a task stays in its process, where `should_retry` and
    `failed` are called.
    """

    def __init__(self, settings: ProcessSettings, *, judge_seconds: float = JUDGE_SECONDS) -> None:
        self._settings = settings
        self._judge_seconds = judge_seconds
        self._pool: ProcessPool | None = None
        self._numbers = 0
        self._failed: OrderedDict[int, WorkItem] = OrderedDict()
        """Identity of the call to its work item, for failed runs that their child keeps."""

    async def start(self, *, concurrency: int) -> None:
        """Start the children if the settings say `warm`; otherwise they start with the first task."""
        del concurrency  # the settings say how many children there are
        self._pool = ProcessPool(self._settings)
        if self._settings.warm:
            await self._pool.warm()

    async def stop(self) -> None:
        """Stop the children."""
        if self._pool is not None:
            await self._pool.close()

    async def execute(self, call: Call) -> AttemptResult:
        """Run the task in the next child that is free."""
        limit = call.policy.timeout
        if limit is not None and call.definition.is_async:
            limit += CANCEL_SECONDS  # its process cancels it at its timeout
        item = self._work_item(RUN, call, limit)
        try:
            reply = await self._do(item)
        except (ChildDied, TaskTimeout) as error:
            return await self._judge(call, error)
        return self._attempt(item, reply)

    async def failed(self, call: Call, failure: Failure) -> None:
        """Run the `failed` hook in the process of the task, or on a new instance if the process has exited."""
        run = self._failed.pop(id(call), None)
        if run is None or run.child is None:
            reply = await self._do(self._work_item(FAILED, call, None, error=failure.error))
        else:
            item = self._work_item(FAILED, call, None, about=run.number, error=failure.error)
            try:
                reply = await self._do(item, run.child)
            finally:
                if self._pool is not None:
                    self._pool.forget(run.child, run.number)
        if reply[0] == CANCELLED:
            raise asyncio.CancelledError
        if reply[1] is not None:
            logger.error(
                "The failed() hook of %s raised in its process:\n%s", call.definition.name, reply[1]
            )

    async def _judge(self, call: Call, error: ChildDied | TaskTimeout) -> AttemptResult:
        """Call `should_retry` on a new instance of the task, for an error that its process did not survive."""
        described = error_info(error)
        item = self._work_item(JUDGE, call, self._judge_seconds, error=described)
        try:
            attempt = self._attempt(item, await self._do(item))
        except (ChildDied, TaskTimeout):
            logger.warning(
                "should_retry() of %s crashed its process; retrying the task",
                call.definition.name,
            )
            return Raised(described, retry=True)
        if isinstance(attempt, Raised):
            return Raised(described, attempt.retry, retry_delay=attempt.retry_delay)
        return attempt

    def _work_item(
        self,
        op: int,
        call: Call,
        limit: float | None,
        *,
        about: int = 0,
        error: ErrorInfo | None = None,
    ) -> WorkItem:
        self._numbers = self._numbers + 1 if self._numbers < LAST_NUMBER else 1
        order = pack_order(
            op, self._numbers, call.delivery, call.definition.module, about=about, error=error
        )
        return WorkItem(self._numbers, order, call, limit, urgent=op != RUN)

    async def _do(self, item: WorkItem, child: ChildProcess | None = None) -> Frame:
        """Run a work item, and return its reply.

        Raises:
            ChildDied: its process died.
            TaskTimeout: it was killed at its limit.
        """
        pool = self._pool
        assert pool is not None, "start() comes first"
        if child is None:
            pool.add(item)
        else:
            pool.add_for(child, item)
        try:
            await item.done
        except asyncio.CancelledError:
            await _end_of(pool, item)
            if isinstance(item.outcome, list) and item.outcome[0] == RETURNED:
                return item.outcome  # it has just finished, which counts
            raise
        if isinstance(item.outcome, Exception):
            raise item.outcome
        assert item.outcome is not None, "it is done"
        return item.outcome

    def _attempt(self, item: WorkItem, reply: Frame) -> AttemptResult:
        kind, *fields = reply
        if kind == CANCELLED:
            raise asyncio.CancelledError
        attempt = read_attempt(kind, fields)
        if item.remembered:
            self._failed[id(item.call)] = item
            if len(self._failed) > FAILED_KEPT:
                self._failed.popitem(last=False)
        return attempt


async def _end_of(pool: ProcessPool, item: WorkItem) -> None:
    """Interrupt a work item and await its end, even if the caller is cancelled again."""
    pool.interrupt(item)
    while item.outcome is None:
        item.done = asyncio.get_running_loop().create_future()
        with suppress(asyncio.CancelledError):
            await item.done
