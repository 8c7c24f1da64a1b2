"""A separate default app for every test."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

import asynctasq
from asynctasq import App
from asynctasq.default import existing_default
from asynctasq.tasks.registry import registry


@pytest.fixture(autouse=True)
def _as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("asynctasq.runtime.default", None)
    with registry.preserved():
        yield
    default = existing_default()
    if default is not None:
        default.close_sync()


@pytest_asyncio.fixture
async def app() -> AsyncIterator[App]:
    """Yield the default app, on the memory driver."""
    app = asynctasq.init({"driver": "memory"})
    yield app
    await app.close()
