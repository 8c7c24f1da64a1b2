import asyncio
from asynctasq.tasks import task
from typing import Optional

@task(queue='emails', max_attempts=5, retry_delay=60, timeout=30)
async def send_email(
    to: str,
    subject: str,
    body: str,
    from_email: Optional[str] = None
):
    """Send an email with retry logic."""
    # Email sending logic here
    print(f"Sending email to {to}: {subject}")
    # Simulate email sending
    await asyncio.sleep(0.5)
    return {"status": "sent", "to": to}

# Dispatch emails
async def main():
    # Immediate email
    await send_email(
        to="user@example.com",
        subject="Welcome!",
        body="Welcome to our platform"
    ).dispatch()

    # Delayed welcome email (send after 1 hour)
    await send_email(
        to="newuser@example.com",
        subject="Getting Started",
        body="Here's how to get started..."
    ).delay(3600).dispatch()

if __name__ == "__main__":
    uv_run(main())
