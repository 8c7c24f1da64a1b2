from asynctasq.tasks import AsyncTask

class SimpleTask(AsyncTask[None]):
    """Task with default configuration."""

    async def execute(self) -> None:
        print("Executing simple task")
