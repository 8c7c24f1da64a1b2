from asynctasq.tasks import AsyncTask

# High retry count for critical operations
class ChargeCreditCard(AsyncTask[bool]):
    queue = "payments"
    max_attempts = 10
    retry_delay = 30

    async def execute(self) -> bool:
        # Payment processing logic
        return True

# No retries for validation tasks
class ValidateData(AsyncTask[bool]):
    queue = "validation"
    max_attempts = 0

    async def execute(self) -> bool:
        # Validation logic
        return True

# Custom retry delay
class CallExternalAPI(AsyncTask[dict]):
    queue = "api-calls"
    max_attempts = 5
    retry_delay = 300  # 5 minutes (for rate-limited APIs)

    async def execute(self) -> dict:
        # API call logic
        return {}
