from asynctasq.tasks import AsyncTask

# Short timeout for quick operations
class QuickOperation(AsyncTask[None]):
    queue = "quick"
    timeout = 5

    async def execute(self) -> None:
        # Fast operation
        pass

# Long timeout for heavy operations
class GenerateReport(AsyncTask[str]):
    queue = "reports"
    timeout = 3600  # 1 hour

    async def execute(self) -> str:
        # Report generation logic
        return "report.pdf"

# No timeout (default)
class BackgroundCleanup(AsyncTask[None]):
    queue = "background"
    timeout = None

    async def execute(self) -> None:
        # Cleanup logic
        pass
