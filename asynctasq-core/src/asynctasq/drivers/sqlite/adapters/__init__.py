"""Adapters of transactions for clients that have nothing but SQLite: `sqlite3` and `aiosqlite`."""
