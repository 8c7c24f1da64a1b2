from asynctasq.tasks import task

@task  # Uses all defaults: queue='default', max_attempts=3, etc.
async def simple_task():
    """Task with default configuration."""
    print("Executing simple task")
