"""A search of IDs looks at a part of them at a time, whatever namespaces they are in."""

from collections.abc import Iterator

import pytest

from asynctasq_postgres import PostgresDriver
from tests.drivers.id_searches import check_long_search
from tests.servers.databases import own_database


@pytest.fixture
def own_url(empty_url: str) -> Iterator[str]:
    """Yield the URL of a database of its own."""
    with own_database(empty_url) as url:
        yield url


async def test_search_takes_several_calls(own_url: str) -> None:
    await PostgresDriver(own_url).migrate()
    await check_long_search(lambda name: PostgresDriver(own_url, namespace=name), others=11_000)
