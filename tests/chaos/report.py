"""The report of a storm."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

SHOWN_PROBLEMS = 40


@dataclass
class Report:
    """Counts of a storm, and everything that was wrong in the end."""

    store: str
    seed: int
    planned: int
    seconds: float = 0.0
    accepted: int = 0
    runs: int = 0
    doubles: int = 0
    """Runs of messages that had run to their end before; each is allowed (see `checks`)."""
    workers_started: int = 0
    workers_lost: int = 0
    """Workers that were killed, or ended by a task."""
    ends: Counter[str] = field(default_factory=Counter[str])
    answers: Counter[str] = field(default_factory=Counter[str])
    faults: Counter[str] = field(default_factory=Counter[str])
    skipped: list[str] = field(default_factory=list[str])
    """Faults that this machine cannot have, with the reason."""
    remarks: Counter[str] = field(default_factory=Counter[str])
    problems: list[str] = field(default_factory=list[str])

    def require(self, kinds: Sequence[str]) -> None:
        """Record a problem for each kind of fault that never happened."""
        for each in kinds:
            if not self.faults[each]:
                self.problems.append(f"the fault {each!r} never happened")

    def __str__(self) -> str:
        lines = [
            f"{self.store}, seed {self.seed}, {self.seconds:.0f} s",
            f"{self.accepted} of {self.planned} tasks accepted, {self.runs} runs",
            f"{self.workers_started} workers started, {self.workers_lost} lost",
            f"runs again after their effect (allowed): {self.doubles}",
            f"ends: {_words(self.ends)}",
            f"answers: {_words(self.answers)}",
            f"faults: {_words(self.faults)}",
            *([f"remarks: {_words(self.remarks)}"] if self.remarks else []),
            *(f"skipped: {each}" for each in self.skipped),
            *(f"PROBLEM: {each}" for each in self.problems[:SHOWN_PROBLEMS]),
        ]
        if len(self.problems) > SHOWN_PROBLEMS:
            lines.append(f"and {len(self.problems) - SHOWN_PROBLEMS} problems more")
        lines.append(
            f"{len(self.problems)} problems" if self.problems else "0 lost, 0 stranded, 0 stuck"
        )
        return "\n  ".join(lines)


def _words(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"
