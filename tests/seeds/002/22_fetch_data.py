from asynctasq.tasks import task

# ✅ Mode 1: Async I/O-bound (default)
@task
async def fetch_data(url: str):
    async with httpx.AsyncClient() as client:
        return await client.get(url)

# ✅ Mode 2: Sync I/O-bound (default)
@task
def scrape_page(url: str):
    import requests
    return requests.get(url).text

# ✅ Mode 3: Async CPU-intensive
@task(process=True)
async def ml_inference_async(data: list[float]):
    # Async preprocessing
    async with aiofiles.open('model.pkl', 'rb') as f:
        model_data = await f.read()
    # CPU-intensive work
    return run_model(model_data, data)

# ✅ Mode 4: Sync CPU-intensive
@task(process=True)
def heavy_math(matrix: list[list[float]]):
    import numpy as np
    return np.linalg.inv(np.array(matrix)).tolist()
