"""The PostgreSQL driver of a storm."""

from asynctasq_postgres import PostgresDriver
from tests.chaos.inside.audited import AuditedCalls


class AuditedPostgresDriver(AuditedCalls, PostgresDriver):
    """Writes down what it was asked and answered."""
