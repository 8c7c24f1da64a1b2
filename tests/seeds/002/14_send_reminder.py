from asynctasq.tasks import task

@task(queue='reminders')
async def send_reminder(user_id: int, message: str):
    print(f"Sending reminder to user {user_id}: {message}")

# Dispatch with 60 second delay
async def main():
    # Using method chaining with delay
    task_id = await send_reminder(
        user_id=123,
        message="Don't forget to complete your profile!"
    ).delay(60).dispatch()  # Execute after 60 seconds
