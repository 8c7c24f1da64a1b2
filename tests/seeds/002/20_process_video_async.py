from asynctasq.tasks import task
import aiofiles

@task(queue='video-processing', process=True)  # AsyncProcessTask
async def process_video_async(video_path: str) -> dict:
    """Async + process=True - runs in subprocess with asyncio.run()."""
    # Async I/O
    async with aiofiles.open(video_path, 'rb') as f:
        data = await f.read()

    # CPU-intensive work (bypasses GIL in subprocess)
    frames_processed = await process_frames(data)

    return {"frames": frames_processed}
