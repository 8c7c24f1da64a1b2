"""All checks of a driver whose SQL server fails."""

import pytest

from tests.chaos.server.check import Check
from tests.chaos.server.leases import (
    check_clock_set_back,
    check_late_renewal,
    check_synced_lease,
    check_tokens_after_crashes,
    check_waiter_after_termination,
)
from tests.chaos.server.loads import (
    check_crash_under_load,
    check_cut_connections,
    check_migration_under_load,
    check_terminated_sessions,
)
from tests.chaos.server.locks import check_dead_lock, check_locked_message, check_statement_timeout
from tests.chaos.server.refusals import (
    check_half_open_connections,
    check_no_room,
    check_read_only,
    check_refused_connections,
)

QUICK: tuple[Check, ...] = (
    check_terminated_sessions,
    check_crash_under_load,
    check_synced_lease,
    check_late_renewal,
    check_read_only,
    check_no_room,
    check_dead_lock,
    check_half_open_connections,
)
LONG: tuple[Check, ...] = (
    check_migration_under_load,
    check_cut_connections,
    check_tokens_after_crashes,
    check_waiter_after_termination,
    check_locked_message,
    check_statement_timeout,
    check_refused_connections,
    check_clock_set_back,
)
CHECKS = (*QUICK, *(pytest.param(check, marks=pytest.mark.full) for check in LONG))
"""All checks as parameters of a test."""
