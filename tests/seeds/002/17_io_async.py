# Async + process=False (default) → AsyncTask (event loop)
@task
async def io_async(): ...

# Sync + process=False (default) → SyncTask (thread pool)
@task
def io_sync(): ...

# Async + process=True → AsyncProcessTask (process pool with async)
@task(process=True)
async def cpu_async(): ...

# Sync + process=True → SyncProcessTask (process pool)
@task(process=True)
def cpu_sync(): ...
