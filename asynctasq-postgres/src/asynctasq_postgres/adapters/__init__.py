"""Adapters of transactions for clients of PostgreSQL: `asyncpg` and `psycopg`."""
