# Direct dispatch
task_id = await send_email(to="user@example.com", subject="Hello", body="Hi!").dispatch()

# With delay (execute after 60 seconds)
task_id = await send_email(to="user@example.com", subject="Hello", body="Hi!").delay(60).dispatch()

# Method chaining with queue override
task_id = await send_email(to="user@example.com", subject="Hello", body="Hi!").on_queue("high").dispatch()
