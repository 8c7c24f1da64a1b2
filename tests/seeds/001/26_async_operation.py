from asynctasq.tasks import AsyncTask, SyncTask, SyncProcessTask
import asyncio
import time

# Async task for I/O
class AsyncOperation(AsyncTask[str]):
    queue = "io-tasks"

    def __init__(self, data: str, **kwargs):
        super().__init__(**kwargs)
        self.data = data

    async def execute(self) -> str:
        await asyncio.sleep(0.1)
        return f"Fetched: {self.data}"

# Sync task for moderate CPU
class SyncOperation(SyncTask[str]):
    queue = "sync-tasks"

    def __init__(self, data: str, **kwargs):
        super().__init__(**kwargs)
        self.data = data

    def execute(self) -> str:
        time.sleep(1)
        return f"Computed: {self.data}"

# Process task for heavy CPU
class ProcessOperation(SyncProcessTask[str]):
    queue = "cpu-tasks"

    def __init__(self, data: str, **kwargs):
        super().__init__(**kwargs)
        self.data = data

    def execute(self) -> str:
        import hashlib
        # Simulate CPU-intensive work
        result = hashlib.pbkdf2_hmac('sha256', self.data.encode(), b'salt', 100000)
        return result.hex()

# All can be dispatched the same way
async def main():
    task1_id = await AsyncOperation(data="async").dispatch()
    task2_id = await SyncOperation(data="sync").dispatch()
    task3_id = await ProcessOperation(data="process").dispatch()
