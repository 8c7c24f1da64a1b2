"""A search of IDs looks at a part of them at a time, whatever namespaces they are in."""

from asynctasq_mysql import MySQLDriver
from tests.drivers.id_searches import check_long_search
from tests.servers.databases import own_database


async def test_search_takes_several_calls(server_url: str) -> None:
    with own_database(server_url) as url:
        await MySQLDriver(url).migrate()
        await check_long_search(lambda name: MySQLDriver(url, namespace=name), others=6_000)
