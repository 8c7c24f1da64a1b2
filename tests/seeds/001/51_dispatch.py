task_id = await SendEmail(to="user@example.com", subject="Hello").dispatch()
print(f"Task ID: {task_id}")
