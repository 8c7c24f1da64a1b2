"""The executor of a sandbox, which runs tasks of every mode in the process of the test."""

from asynctasq.app import App
from asynctasq.contracts.executor import AttemptResult, Call, Executor, Failure
from asynctasq.tasks.definition import ExecutionMode
from asynctasq.testing.callers_thread import CallersThreadExecutor, is_django_loaded


class InThisProcess:
    """Executor for every mode: runs async tasks on the event loop, and the others in threads.

    With Django loaded, the others run one after the other in the thread in which Django runs sync
    code; in a test, that is the thread of the test.
    """

    def __init__(self, app: App) -> None:
        self._on_loop = app.plugins.create_executor(ExecutionMode.LOOP.value, {})
        self._in_thread: Executor = (
            CallersThreadExecutor()
            if is_django_loaded()
            else app.plugins.create_executor(ExecutionMode.THREAD.value, {})
        )
        self.raised: dict[bytes, Exception] = {}
        """Exceptions of tasks that became dead letters, by ID."""

    async def start(self, *, concurrency: int) -> None:
        """Start both executors."""
        await self._on_loop.start(concurrency=concurrency)
        await self._in_thread.start(concurrency=concurrency)

    async def stop(self) -> None:
        """Stop both executors."""
        await self._on_loop.stop()
        await self._in_thread.stop()

    async def execute(self, call: Call) -> AttemptResult:
        """Run one attempt."""
        return await self._executor_of(call).execute(call)

    async def failed(self, call: Call, failure: Failure) -> None:
        """Run the task's `failed` hook."""
        if isinstance(failure.exception, Exception):
            self.raised[call.delivery.message.id] = failure.exception
        await self._executor_of(call).failed(call, failure)

    def _executor_of(self, call: Call) -> Executor:
        return self._on_loop if call.definition.is_async else self._in_thread
