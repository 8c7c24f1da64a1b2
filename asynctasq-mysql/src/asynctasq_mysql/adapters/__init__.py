"""Adapters of transactions for clients of MySQL: `aiomysql`, `asyncmy`, `pymysql` and `MySQLdb`."""
