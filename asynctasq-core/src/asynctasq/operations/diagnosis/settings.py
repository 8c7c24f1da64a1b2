"""Check: the settings and where each comes from."""

from collections.abc import Sequence

from asynctasq.operations.diagnosis.finding import Finding, Status, ok
from asynctasq.operations.diagnosis.subject import Subject


async def check_settings(subject: Subject) -> Sequence[Finding]:
    """Report how many settings were given, and those that are hidden by others."""
    given = subject.settings.given()
    findings = [
        Finding("settings", Status.WARNING, f"{text}.", "Remove one of the two.")
        for text in subject.settings.hidden
    ]
    number = f"{len(given)} setting{'' if len(given) == 1 else 's'}"
    return findings or [ok("settings", f"{number} given, the others have their defaults.")]
