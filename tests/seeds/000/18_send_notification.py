# Function task priority order
@task(queue='notifications', max_attempts=3)  # 2. Decorator defaults
async def send_notification(user_id: int):
    pass

# Override at runtime
task_id = await send_notification(user_id=123) \
    .on_queue("urgent") \  # 1. Highest priority - overrides decorator
    .dispatch()
# Result: Uses queue="urgent", max_attempts=3

# Class task priority order
class ProcessOrder(AsyncTask[bool]):
    queue = "orders"      # 2. Class attribute
    max_attempts = 3

    def __init__(self, order_id: int, **kwargs):
        super().__init__(**kwargs)
        self.order_id = order_id

    async def execute(self) -> bool:
        return True

# Override at runtime
task_id = await ProcessOrder(order_id=456) \
    .on_queue("express") \  # 1. Highest priority - overrides class attribute
    .dispatch()
# Result: Uses queue="express", max_attempts=3
