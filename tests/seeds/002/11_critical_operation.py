from asynctasq.tasks import task

@task(
    queue='critical',
    max_attempts=10,
    retry_delay=60,
    timeout=300
)
async def critical_operation(data: dict):
    """Fully configured critical task."""
    # Critical operation logic
    pass
