"""The ledger of a storm: files outside the store, to which tasks, drivers and the dispatcher append.

- `effects.log`: `B` when a task begins, `E` when it has had its effect;
- `audit.log`: `Q` before a message is sent, `R` for each delivery, `T` before a settlement is sent, `S` for its answer;
- `started.log`: the process of each worker that is ready to work, and its parent;
- `faults.log`: every fault that happened inside a process (see `inside.switches`).

Workers are stopped and killed between what they do and the line about it, so lines are not in order.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = "CHAOS_FOLDER"
"""Environment variable: where the files of the ledger are."""
EFFECTS = "effects.log"
AUDIT = "audit.log"
STARTED = "started.log"


class Pen:
    """A file that stays open, for whole lines of several processes.

    It is opened once, because faults exhaust the descriptors later.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, text: str) -> None:
        """Append in one call."""
        os.write(self._fd, text.encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


@dataclass
class Run:
    """One time that the code of a task ran."""

    n: int
    message: str
    attempt: int
    pid: int
    at: float


@dataclass
class Lease:
    """One delivery, as the driver answered it."""

    token: int
    pid: int
    asked_at: float
    at: float
    attempt: int
    lost: int


@dataclass
class Settlement:
    """One settlement: what was sent, and the answer if it arrived."""

    token: int
    kind: str
    at: float
    answer: str = ""


@dataclass
class Log:
    """All that the files say, by message id (hexadecimal)."""

    begun: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    ended: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    leases: dict[str, list[Lease]] = field(default_factory=lambda: defaultdict(list))
    settlements: dict[str, list[Settlement]] = field(default_factory=lambda: defaultdict(list))
    sent: Counter[str] = field(default_factory=Counter[str])
    """Times that a message was sent to the store: a dispatch without an answer is repeated."""

    def runs(self) -> Iterator[Run]:
        """Every run that began."""
        for runs in self.begun.values():
            yield from runs


def read_log(folder: Path) -> Log:
    """Read the files of a storm that is over."""
    log = Log()
    for line in _lines(folder / EFFECTS):
        what, n, message, attempt, pid, at = line.split()
        run = Run(int(n), message, int(attempt), int(pid), float(at))
        (log.begun if what == "B" else log.ended)[message].append(run)
    for line in _lines(folder / AUDIT):
        if line.startswith("Q "):
            log.sent[line[2:]] += 1
            continue
        what, message, token, *rest = line.split()
        if what == "R":
            pid, asked_at, at, attempt, lost = rest
            log.leases[message].append(
                Lease(_number(token), int(pid), float(asked_at), float(at), int(attempt), int(lost))
            )
        else:
            kind, answer, at = rest
            answer = "" if what == "T" else answer
            log.settlements[message].append(Settlement(_number(token), kind, float(at), answer))
    return log


def _number(token: str) -> int:
    """Return the number in a token; that of a composed driver names the store before it."""
    return int(token.rpartition("#")[2])


def read_started(folder: Path) -> set[int]:
    """Return the worker processes that became ready, and their parents."""
    return {int(each) for line in _lines(folder / STARTED) for each in line.split()}


def read_faults(file: Path) -> Counter[str]:
    """Count each fault that happened inside processes."""
    return Counter(line.split(maxsplit=2)[2] for line in _lines(file))


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
