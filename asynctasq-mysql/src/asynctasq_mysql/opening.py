"""Opening a store: the checks of the server and its tables, and the number of the namespace."""

from asynctasq_mysql.clients import Wire
from asynctasq_mysql.connections import Connections
from asynctasq_mysql.schema import check_schema, look_at_server
from asynctasq_mysql.settings import MySQLSettings
from asynctasq_mysql.statements import statements
from asynctasq_mysql.store import Store, name_bytes

LARGEST_PACKET = 4 << 20
"""Bytes of statements that are sent together, at most."""


async def open_store(settings: MySQLSettings, description: str, offset: int) -> Store:
    """Connect, and check that this release can use the server and its tables.

    Raises:
        DriverError: the tables are missing, or made for another release.
        ConfigurationError: the server is too old.
    """
    connections = Connections(settings, description)
    sql = connections.statements
    name = name_bytes(settings.namespace)

    async def look(wire: Wire) -> Store:
        server = await look_at_server(wire, sql, description)
        version = await check_schema(wire, sql, description)
        connections.statements = statements(settings.table_prefix, is_mariadb=server.is_mariadb)
        connections.packet = max(min(server.packet // 4, LARGEST_PACKET), connections.packet)
        _, answer, identity = await wire.run(
            sql.store["add_namespace"](name=name),
            sql.store["namespace"](name=name),
            sql.store["identity"](),
        )
        store = Store(connections, answer.rows[0][0], offset, server.packet)
        store.version = version
        store.identity = bytes(identity.rows[0][0])
        return store

    try:
        return await connections.call(look)
    except BaseException:
        await connections.close()
        raise
