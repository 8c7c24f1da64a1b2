task_id = await send_email(to="user@example.com", subject="Hello").dispatch()
print(f"Task ID: {task_id}")
