from asynctasq.tasks import AsyncTask

class SendEmail(AsyncTask[bool]):
    """Send email with custom configuration."""

    # Class-level configuration
    queue = "emails"
    max_attempts = 5
    retry_delay = 120  # seconds
    timeout = 30  # seconds

    def __init__(self, to: str, subject: str, body: str, **kwargs):
        super().__init__(**kwargs)
        self.to = to
        self.subject = subject
        self.body = body

    async def execute(self) -> bool:
        print(f"Sending email to {self.to}: {self.subject}")
        # Email sending logic here
        return True
