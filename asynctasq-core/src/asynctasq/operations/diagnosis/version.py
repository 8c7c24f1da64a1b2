"""Check: the version of the store."""

from collections.abc import Sequence

from asynctasq.contracts.driver import Driver
from asynctasq.operations.diagnosis.finding import Finding, not_checked, ok
from asynctasq.operations.diagnosis.subject import Subject


async def check_version(_: Subject, driver: Driver) -> Sequence[Finding]:
    """Report the version. Drivers refuse to open a store whose version they do not support."""
    store_version = getattr(driver, "store_version", None)
    version = "" if store_version is None else await store_version()
    if not version:
        return [not_checked("version", "The driver does not report the version of its store.")]
    return [ok("version", f"{version} is supported.")]
