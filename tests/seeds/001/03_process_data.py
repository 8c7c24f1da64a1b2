import asynctasq
from asynctasq.tasks import AsyncTask

asynctasq.init({'driver': 'redis'})

class ProcessData(AsyncTask[int]):
    """Process data and return sum."""

    def __init__(self, data: list[int], **kwargs):
        super().__init__(**kwargs)
        self.data = data

    async def execute(self) -> int:
        """Process the data."""
        return sum(self.data)

# Dispatch
async def main():
    task_id = await ProcessData(data=[1, 2, 3, 4, 5]).dispatch()
    print(f"Task dispatched: {task_id}")

if __name__ == "__main__":
    from asynctasq.utils.loop import run as uv_run

    uv_run(main())
