from asynctasq.tasks import task

# Async CPU-intensive work
@task(queue='ml-inference', process=True, timeout=300)
async def run_ml_inference(model_path: str, data: list[float]):
    """Async + process=True - runs in subprocess with async support."""
    import aiofiles

    # Async I/O
    async with aiofiles.open(model_path, 'rb') as f:
        model_data = await f.read()

    # CPU-intensive work (bypasses GIL)
    return run_model(model_data, data)

# Sync CPU-intensive work
@task(queue='data-processing', process=True, timeout=600)
def process_large_dataset(data: list[float]):
    """Sync + process=True - runs in subprocess."""
    import numpy as np

    # Heavy CPU computation (bypasses GIL)
    arr = np.array(data)
    result = np.fft.fft(arr)

    return {
        "mean": float(result.mean()),
        "std": float(result.std())
    }
