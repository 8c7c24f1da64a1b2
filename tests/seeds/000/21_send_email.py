# 1. Decorator configuration (function tasks)
@task(queue='emails', max_attempts=5, retry_delay=120, timeout=30)
async def send_email(to: str, subject: str):
    pass

# 2. Class attributes (class tasks)
class ProcessPayment(AsyncTask[bool]):
    queue = "payments"
    max_attempts = 3
    retry_delay = 60
    timeout = 30

# 3. Method chaining (runtime configuration for both)
await task_instance.on_queue("high").retry_after(120).delay(60).dispatch()

# 4. Function tasks - unified API
await send_email(to="user@example.com", subject="Hello").delay(60).dispatch()
