# Configure process pool size (default: CPU count)
from asynctasq.core.worker import Worker

worker = Worker(
    queue_driver=driver,
    process_pool_size=8,  # Number of worker processes
    process_pool_max_tasks_per_child=1000  # Recycle after 1000 tasks
)
await worker.start()
