# ❌ WRONG: Missing super().__init__() call
class ProcessPayment(AsyncTask[bool]):
    def __init__(self, amount: float):
        self.amount = amount  # Config not initialized!

# ✅ CORRECT: Always call super().__init__()
class ProcessPayment(AsyncTask[bool]):
    def __init__(self, amount: float, **kwargs):
        super().__init__(**kwargs)  # Initializes config
        self.amount = amount
