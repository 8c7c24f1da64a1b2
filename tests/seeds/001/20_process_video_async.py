from asynctasq.tasks import AsyncProcessTask
import aiofiles

class ProcessVideoAsync(AsyncProcessTask[dict]):
    """AsyncProcessTask - runs in subprocess with async support."""
    queue = "video-processing"
    timeout = 600  # 10 minutes

    def __init__(self, video_path: str, **kwargs):
        super().__init__(**kwargs)
        self.video_path = video_path

    async def execute(self) -> dict:
        """Runs in subprocess with async support."""
        # Async I/O
        async with aiofiles.open(self.video_path, 'rb') as f:
            data = await f.read()

        # CPU-intensive work (bypasses GIL)
        frames_processed = await self._process_frames(data)

        return {"frames": frames_processed}

    async def _process_frames(self, data: bytes) -> int:
        # Heavy CPU work here
        return len(data) // 1024
