from asynctasq.tasks import task
import numpy as np

@task(queue='data-processing', process=True, timeout=600)  # SyncProcessTask
def process_large_dataset(data: list[float]) -> dict:
    """Sync + process=True - runs in subprocess via ProcessPoolExecutor."""
    # Heavy CPU computation (bypasses GIL)
    arr = np.array(data)
    result = np.fft.fft(arr)

    return {
        "mean": float(result.mean()),
        "std": float(result.std())
    }
