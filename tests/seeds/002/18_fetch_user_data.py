from asynctasq.tasks import task
import httpx

@task(queue='api')  # process=False is default
async def fetch_user_data(user_id: int):
    """Async function - runs in event loop via AsyncTask."""
    # Can use await for async I/O
    async with httpx.AsyncClient() as client:
        response = await client.get(f"https://api.example.com/users/{user_id}")
        return response.json()
