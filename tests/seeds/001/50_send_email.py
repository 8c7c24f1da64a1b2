from asynctasq.tasks import AsyncTask

class SendEmail(AsyncTask[bool]):
    queue = "emails"

    def __init__(self, to: str, subject: str, **kwargs):
        super().__init__(**kwargs)
        self.to = to
        self.subject = subject

    async def execute(self) -> bool:
        print(f"Sending email to {self.to}")
        return True
