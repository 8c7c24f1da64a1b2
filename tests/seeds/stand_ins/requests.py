"""Instead of requests."""

from types import SimpleNamespace


def get(url: str) -> SimpleNamespace:
    return SimpleNamespace(text=f"page of {url}")
