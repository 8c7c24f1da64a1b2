# ✅ CORRECT: Use decorator arguments
@task(queue='emails', max_attempts=5, retry_delay=120, timeout=30)
async def send_email(to: str, subject: str, body: str):
    print(f"Sending email to {to}: {subject}")
    return f"Email sent to {to}"

# ❌ WRONG: Class attributes don't apply to function tasks
@task
async def send_email(to: str, subject: str, body: str):
    # These attributes are ignored!
    queue = "emails"  # This is just a local variable
    max_attempts = 5   # This does nothing
    print(f"Sending email to {to}: {subject}")
