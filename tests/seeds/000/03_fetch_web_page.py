@task(queue='web-scraping')
def fetch_web_page(url: str):
    # Synchronous function runs in thread pool
    import requests
    response = requests.get(url)  # Blocking operation OK
    return response.text
