from asynctasq.tasks import task

# Mode 1: AsyncTask (async I/O-bound) - DEFAULT for async functions
@task
async def fetch_data(url: str):
    async with httpx.AsyncClient() as client:
        return await client.get(url)

# Mode 2: SyncTask (sync I/O-bound) - DEFAULT for sync functions
@task
def fetch_web_page(url: str):
    import requests
    return requests.get(url).text

# Mode 3: AsyncProcessTask (async CPU-intensive)
@task(process=True)
async def process_video_async(path: str):
    async with aiofiles.open(path, 'rb') as f:
        data = await f.read()
    # CPU-intensive processing
    return process_frames(data)

# Mode 4: SyncProcessTask (sync CPU-intensive)
@task(process=True)
def heavy_computation(data: list[float]):
    import numpy as np
    return np.fft.fft(data)  # CPU-intensive
