# ✅ Use AsyncTask for async I/O-bound work (90% of use cases)
class FetchData(AsyncTask[dict]):
    async def execute(self) -> dict:
        async with httpx.AsyncClient() as client:
            response = await client.get(url)
            return response.json()

# ✅ Use SyncTask for blocking I/O (requests, sync DB drivers)
class FetchWebPage(SyncTask[str]):
    def execute(self) -> str:
        import requests
        response = requests.get(self.url)
        return response.text

# 🚀 Use AsyncProcessTask for async CPU-intensive work
class ProcessVideoAsync(AsyncProcessTask[dict]):
    async def execute(self) -> dict:
        # Async I/O + CPU work in subprocess
        async with aiofiles.open(self.path, 'rb') as f:
            data = await f.read()
        return await self._process_frames(data)

# 🚀 Use SyncProcessTask for sync CPU-intensive work
class ProcessDataset(SyncProcessTask[dict]):
    def execute(self) -> dict:
        import numpy as np
        # Heavy computation bypasses GIL
        result = np.linalg.inv(self.large_matrix)
        return {"result": result.tolist()}
