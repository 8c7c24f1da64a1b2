"""Completion of tasks in transactions, in a sandbox: it counts if the task returns."""

from asynctasq.settlement import Complete
from asynctasq.testing.sandbox_driver import SandboxDriver
from asynctasq.transaction_adapters import TransactionAdapters, no_statements
from asynctasq.worker.completion import CompletingCall, enlisted_for_completion


class SandboxCompleter:
    """Makes sure that a transaction is open. The sandbox has no part in it; implements `CallCompleter`."""

    def __init__(self, driver: SandboxDriver, adapters: TransactionAdapters) -> None:
        """Connect the store of the sandbox with the adapters of transactions."""
        self._driver = driver
        self._adapters = adapters

    async def complete(self, call: CompletingCall, transaction: object, result: object) -> None:
        """Keep the result. Raises as `CurrentTask.complete` does."""
        await enlisted_for_completion(self._adapters, transaction).run_async(no_statements())
        call.completion = call.encode_result(result)

    def complete_sync(self, call: CompletingCall, transaction: object, result: object) -> None:
        """Keep the result. Raises as `CurrentTask.complete_sync` does."""
        enlisted_for_completion(self._adapters, transaction).run(no_statements())
        call.completion = call.encode_result(result)

    async def is_committed(self, call: CompletingCall, *, returned: bool) -> bool:
        """Complete the task if it has returned; an error stands for a rollback."""
        if returned:
            delivery = call.delivery
            ttl = delivery.message.result_ttl
            await self._driver.settle([Complete(delivery.lease, call.completion, ttl)])
        return returned
