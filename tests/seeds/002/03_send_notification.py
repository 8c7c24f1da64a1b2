import asyncio
import asynctasq
from asynctasq.tasks import task

# Configure the queue driver
# Note: Use 'redis', 'postgres', 'mysql', or 'sqs' for production
asynctasq.init({'driver': 'redis'})

# Define a simple task
@task
async def send_notification(message: str):
    """Send a notification message."""
    print(f"Notification: {message}")
    await asyncio.sleep(0.1)  # Simulate async work
    return f"Sent: {message}"

# Dispatch the task
async def main():
    task_id = await send_notification(message="Hello, World!").dispatch()
    print(f"Task dispatched with ID: {task_id}")
    # Note: Task will be executed by a worker process

if __name__ == "__main__":
    from asynctasq.utils.loop import run as uv_run

    uv_run(main())
