from asynctasq.tasks import AsyncTask

class SmartRetryTask(AsyncTask[None]):
    max_attempts = 5

    async def execute(self) -> None:
        # Adjust behavior based on attempt count
        if self._current_attempt == 1:
            # (attempt 1) - use fast method
            await self._fast_method()
        elif self._current_attempt < 3:
            #(attempts 2-3) - use standard method
            await self._standard_method()
        else:
            # (attempts 4+) - use fallback method
            await self._fallback_method()

    async def _fast_method(self):
        pass

    async def _standard_method(self):
        pass

    async def _fallback_method(self):
        pass
