# Decorator sets defaults
@task(queue='notifications', max_attempts=3)
async def send_notification(user_id: int, message: str):
    pass

# Override at dispatch time with method chaining
task_id = await send_notification(user_id=123, message="Hello") \
    .on_queue("high-priority") \  # Override queue
    .retry_after(30) \             # Override retry_delay
    .delay(60) \                   # Add 60s delay
    .dispatch()
