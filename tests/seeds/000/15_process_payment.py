# ✅ CORRECT: Use class attributes
class ProcessPayment(AsyncTask[bool]):
    # Configuration via class attributes
    queue = "payments"
    max_attempts = 3
    retry_delay = 60
    timeout = 30

    def __init__(self, user_id: int, amount: float, **kwargs):
        super().__init__(**kwargs)
        self.user_id = user_id
        self.amount = amount

    async def execute(self) -> bool:
        print(f"Processing ${self.amount} for user {self.user_id}")
        return True

# Dispatch with defaults
task_id = await ProcessPayment(user_id=123, amount=99.99).dispatch()
