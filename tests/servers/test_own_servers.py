"""Servers that one test has for itself: they keep their data over a crash, and end all sessions on request."""

import psycopg
import pymysql
import pytest

from tests.servers.mariadb import MariadbServer, mariadb_process
from tests.servers.pgbouncer import pgbouncer
from tests.servers.postgres import PostgresServer, running_postgres

pytestmark = pytest.mark.sampled(2)


def test_postgresql_keeps_what_it_has_acknowledged_over_a_crash() -> None:
    with running_postgres() as server:
        assert server.execute("SHOW fsync") == [("on",)]
        _keeps_a_row_over_a_crash(server)


def test_mariadb_keeps_what_it_has_acknowledged_over_a_crash() -> None:
    with mariadb_process() as server:
        assert server.execute("SELECT @@innodb_flush_log_at_trx_commit") == [(1,)]
        server.execute("CREATE DATABASE kept")
        _keeps_a_row_over_a_crash(server)


def _keeps_a_row_over_a_crash(server: PostgresServer | MariadbServer) -> None:
    table = "kept" if isinstance(server, PostgresServer) else "kept.kept"
    server.execute(f"CREATE TABLE {table} (n int)")
    server.execute(f"INSERT INTO {table} VALUES (1)")
    server.crash()
    server.start()
    assert server.execute(f"SELECT n FROM {table}") == [(1,)]


def test_sessions_of_servers_end_on_request() -> None:
    with running_postgres("fsync=off") as server, server.connect() as held:
        assert server.disconnect_clients() == 1
        with pytest.raises(psycopg.OperationalError):
            held.execute("SELECT 1")
    with mariadb_process() as other:
        session = other.connect()
        assert other.disconnect_clients() == 1
        with pytest.raises(pymysql.OperationalError):
            session.ping(reconnect=False)


def test_pgbouncer_shares_one_session_among_many_transactions() -> None:
    with running_postgres("fsync=off") as server, pgbouncer(server.url, sessions=1) as pooler:
        with (
            psycopg.connect(pooler.url, autocommit=True, prepare_threshold=None) as first,
            psycopg.connect(pooler.url, autocommit=True, prepare_threshold=None) as second,
        ):
            question = "SELECT pg_backend_pid()"
            assert first.execute(question).fetchone() == second.execute(question).fetchone()
        pooler.stop()
        pooler.start()
        with psycopg.connect(pooler.url, autocommit=True, prepare_threshold=None) as again:
            assert again.execute("SELECT 6 * 7").fetchone() == (42,)
