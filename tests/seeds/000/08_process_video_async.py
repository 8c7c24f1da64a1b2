from asynctasq.tasks import AsyncProcessTask

class ProcessVideoAsync(AsyncProcessTask[dict]):
    queue = "video-processing"
    timeout = 3600

    def __init__(self, video_path: str, **kwargs):
        super().__init__(**kwargs)
        self.video_path = video_path

    async def execute(self) -> dict:
        # Runs in subprocess with async support
        # Async preprocessing
        async with aiofiles.open(self.video_path, 'rb') as f:
            data = await f.read()

        # CPU-intensive work (bypasses GIL)
        result = await self._process_frames(data)
        return {"frames_processed": result}
