from asynctasq.tasks import SyncTask
import requests

class FetchWebPage(SyncTask[str]):
    """SyncTask - automatically runs in thread pool."""
    queue = "web-scraping"

    def __init__(self, url: str, **kwargs):
        super().__init__(**kwargs)
        self.url = url

    def execute(self) -> str:
        """Synchronous execution - blocking operations OK."""
        response = requests.get(self.url)
        return response.text
