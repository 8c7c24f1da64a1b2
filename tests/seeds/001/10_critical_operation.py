from asynctasq.tasks import AsyncTask

class CriticalOperation(AsyncTask[dict]):
    """Fully configured critical task."""

    queue = "critical"
    max_attempts = 10
    retry_delay = 60
    timeout = 300

    def __init__(self, data: dict, **kwargs):
        super().__init__(**kwargs)
        self.data = data

    async def execute(self) -> dict:
        # Critical operation logic
        return {"status": "completed"}
