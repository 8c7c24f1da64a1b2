from asynctasq.tasks import task
import requests

@task(queue='web-scraping')  # process=False is default
def fetch_web_page(url: str) -> str:
    """Sync function - automatically runs in thread pool via SyncTask."""
    # Blocking operations OK - runs in thread pool
    response = requests.get(url)
    return response.text
