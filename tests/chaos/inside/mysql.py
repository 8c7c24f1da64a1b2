"""The MySQL driver of a storm."""

from asynctasq_mysql import MySQLDriver
from tests.chaos.inside.audited import AuditedCalls


class AuditedMySQLDriver(AuditedCalls, MySQLDriver):
    """Writes down what it was asked and answered."""
