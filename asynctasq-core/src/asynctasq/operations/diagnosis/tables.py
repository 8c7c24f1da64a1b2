"""Check: the version of the tables."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities import Capability, SchemaState, SupportsSchema
from asynctasq.contracts.driver import Driver
from asynctasq.operations.diagnosis.finding import Finding, Status, ok
from asynctasq.operations.diagnosis.subject import Subject

MIGRATE = "Run asynctasq migrate."


async def check_tables(subject: Subject, _: Driver) -> Sequence[Finding]:
    """Compare the versions of the tables with those of this release, in the queue and in its state store."""
    findings = [
        _about(each, await each.schema())
        for each in subject.stores
        if Capability.SCHEMA in each.capabilities and isinstance(each, SupportsSchema)
    ]
    return findings or [ok("schema", "The store has no tables.")]


def _about(driver: Driver, state: SchemaState) -> Finding:
    return schema_finding("schema", driver.description, state)


def schema_finding(check: str, place: str, state: SchemaState) -> Finding:
    """Judge the tables in a place by their version."""
    if state.current == state.needed:
        return ok(check, f"The tables of {place} are up to date: version {state.current}.")
    if state.current == 0:
        return Finding(check, Status.PROBLEM, f"{place} has no tables.", MIGRATE)
    known = f"The tables of {place} have version {state.current}"
    if state.current > state.needed:
        return Finding(
            check,
            Status.PROBLEM,
            f"{known}; this release knows {state.needed} and older.",
            "Upgrade asynctasq.",
        )
    status = Status.PROBLEM if state.current < state.oldest else Status.WARNING
    return Finding(check, status, f"{known}; this release needs {state.needed}.", MIGRATE)
