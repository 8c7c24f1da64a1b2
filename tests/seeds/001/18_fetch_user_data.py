from asynctasq.tasks import AsyncTask
import asyncio
import httpx

class FetchUserData(AsyncTask[dict]):
    """AsyncTask - runs directly in event loop."""
    queue = "api"

    def __init__(self, user_id: int, **kwargs):
        super().__init__(**kwargs)
        self.user_id = user_id

    async def execute(self) -> dict:
        """Can use await here."""
        async with httpx.AsyncClient() as client:
            response = await client.get(f"https://api.example.com/users/{self.user_id}")
            return response.json()
