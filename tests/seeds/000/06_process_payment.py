from asynctasq.tasks import AsyncTask

class ProcessPayment(AsyncTask[bool]):
    queue = "payments"
    max_attempts = 3
    retry_delay = 60
    timeout = 30

    def __init__(self, user_id: int, amount: float, **kwargs):
        super().__init__(**kwargs)
        self.user_id = user_id
        self.amount = amount

    async def execute(self) -> bool:
        # Async I/O-bound work
        print(f"Processing ${self.amount} for user {self.user_id}")
        await asyncio.sleep(2)  # Async operation
        return True
