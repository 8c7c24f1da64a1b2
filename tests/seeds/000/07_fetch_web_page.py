from asynctasq.tasks import SyncTask
import requests

class FetchWebPage(SyncTask[str]):
    queue = "web-scraping"
    max_attempts = 3

    def __init__(self, url: str, **kwargs):
        super().__init__(**kwargs)
        self.url = url

    def execute(self) -> str:
        # Runs in thread pool - blocking OK
        response = requests.get(self.url)
        return response.text
