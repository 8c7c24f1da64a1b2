from asynctasq.tasks import AsyncTask

# Different queues for different task types
class SendEmail(AsyncTask[None]):
    queue = "emails"

    async def execute(self) -> None:
        pass

class ProcessPayment(AsyncTask[None]):
    queue = "payments"

    async def execute(self) -> None:
        pass

class SendPushNotification(AsyncTask[None]):
    queue = "notifications"

    async def execute(self) -> None:
        pass
