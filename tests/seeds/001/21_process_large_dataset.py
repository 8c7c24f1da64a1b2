from asynctasq.tasks import SyncProcessTask
import numpy as np

class ProcessLargeDataset(SyncProcessTask[dict]):
    """SyncProcessTask - runs in separate process with independent GIL."""
    queue = "data-processing"
    timeout = 600  # 10 minutes

    def __init__(self, data: list[float], **kwargs):
        super().__init__(**kwargs)
        self.data = data

    def execute(self) -> dict:
        """Runs in subprocess - true parallelism."""
        # Heavy CPU computation
        arr = np.array(self.data)
        result = np.fft.fft(arr)

        return {
            "mean": float(result.mean()),
            "std": float(result.std())
        }
