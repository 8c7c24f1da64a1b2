from asynctasq.tasks import SyncProcessTask
import numpy as np

class ProcessLargeDataset(SyncProcessTask[dict]):
    queue = "data-processing"
    timeout = 3600

    def __init__(self, data: list[float], **kwargs):
        super().__init__(**kwargs)
        self.data = data

    def execute(self) -> dict:
        # Runs in subprocess - bypasses GIL
        arr = np.array(self.data)
        result = np.fft.fft(arr)  # CPU-intensive
        return {"mean": float(result.mean())}
