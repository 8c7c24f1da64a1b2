"""The check of the ledger against the store: what must hold after a storm.

Delivery is at least once. A message may run again after its effect if the store never confirmed the
end of that run: its worker was killed, stopped or cut off in between, or its lease ended. A message
never runs again once the store has confirmed its end. A message with `max_lost=0` never runs
again after its worker was lost, even without a confirmation; it becomes a dead letter (`lost`).

A message is also accounted for as a dead letter (`refused`) if the store failed at each settlement of a
run that took place: workers take an error that is not `DriverUnavailable` as final.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from asynctasq.settlement import Reason, Settled
from tests.chaos.faults.fault import Scene
from tests.chaos.faults.servers import SERVER_KILLED
from tests.chaos.inside.tasks import LEASE
from tests.chaos.kinds import End
from tests.chaos.ledger import Lease, Log
from tests.chaos.report import Report
from tests.chaos.workload import Entry

PROBES = 10_000_000
"""Numbers from here on belong to tasks that only show that a worker works."""
FINAL = frozenset({"Complete", "Cancelled"})
WITHOUT_EFFECT = frozenset({End.CANCELLED, "unknown"})
"""Ends of messages that another message may have replaced."""
FORGETS_ENDS = frozenset({SERVER_KILLED.name, "consumers cancelled by the server"})
"""Faults after which a broker may deliver what was acknowledged."""
ENDS_BEFORE_DAMAGE = frozenset({End.CANCELLED, End.REPLACED, End.EXPIRED})
"""Ends that may come first where a record was damaged."""


def check_ledger(entries: Sequence[Entry], log: Log, ends: Mapping[str, str], scene: Scene) -> None:
    """Add all problems to the report."""
    report = scene.report
    must_die: dict[str, bool] = {}
    for damage in scene.damages:
        must_die[damage.message] = must_die.get(damage.message, False) or damage.must_die
    owners = _owners(entries, report)
    # Dispatches overlap and repeat, so their numbers do not tell which message of a key is the last.
    survived = {
        each.key
        for each in owners.values()
        if ends.get(each.message, "unknown") not in WITHOUT_EFFECT
    }
    for entry in owners.values():
        end = ends.get(entry.message, "unknown")
        if entry.kind.name == "replacing" and end in WITHOUT_EFFECT:
            end = End.REPLACED
            if entry.key not in survived:
                end = "replaced by nothing"
        report.ends[f"{entry.kind.name} {end}"] += 1
        _check_end(entry, end, log, must_die, report)
        _check_runs(entry, log, entry.message in must_die, report)
    _check_copies(owners, log, report)
    if scene.store.keeps_tokens:
        undamaged = {message: each for message, each in owners.items() if message not in must_die}
        _check_leases(undamaged, log, scene)
    elif scene.store.keeps_ends:
        _check_ended(owners, log, report)
    elif not scene.store.has_outcomes:
        _check_doubles(owners, log, scene)


def _owners(entries: Sequence[Entry], report: Report) -> dict[str, Entry]:
    """Return the entry of each message. Of entries that share a unique key, the first creates it."""
    owners: dict[str, Entry] = {}
    for each in sorted(entries, key=lambda each: not each.created):
        if each.created and each.message in owners:
            report.problems.append(f"{each.kind.name} {each.n} was created twice: {each.message}")
        if not each.created:
            if not each.key:
                report.problems.append(
                    f"{each.kind.name} {each.n} is answered as known, after {each.tries} calls"
                )
            elif each.message not in owners:
                report.remarks["unique tasks answered as known by their own id"] += 1
        owners.setdefault(each.message, each)
    return owners


def _check_end(
    entry: Entry, end: str, log: Log, must_die: Mapping[str, bool], report: Report
) -> None:
    allowed = entry.kind.ends
    if entry.message in must_die:
        if must_die[entry.message]:
            allowed = allowed & ENDS_BEFORE_DAMAGE
        else:  # damaged while leased
            allowed = allowed | {Reason.LOST}
        allowed = allowed | {End.UNDECODABLE}
    name = f"{entry.kind.name} {entry.n} ({entry.message})"
    if end == Reason.REFUSED and log.begun[entry.message]:
        report.remarks["dead letters because a settlement was aborted twice"] += 1
        return
    if end not in allowed:
        words = " or ".join(sorted(allowed))
        lost = "LOST: " if end == "unknown" else ""
        report.problems.append(f"{lost}{name} ended as {str(end)!r} instead of {words!r}")
    if end == End.EFFECT and not log.ended[entry.message]:
        report.problems.append(f"{name} is completed without its effect")


def _check_runs(entry: Entry, log: Log, damaged: bool, report: Report) -> None:
    begun, ended = log.begun[entry.message], log.ended[entry.message]
    leases = log.leases[entry.message]
    name = f"{entry.kind.name} {entry.n} ({entry.message})"
    report.runs += len(begun)
    report.doubles += max(len(ended) - 1, 0)
    if len(begun) > len(leases):
        report.problems.append(f"{name} ran {len(begun)} times by {len(leases)} leases")
    if entry.kind.name == "sleeper" and ended:
        report.problems.append(f"{name} slept to its end")
    if entry.kind.name == "once" and not damaged:
        _check_once(entry, log, report)
    if not entry.kind.in_process and not damaged:
        most = max((lease.attempt for lease in leases), default=0)
        if most > len(begun):
            report.problems.append(f"{name} counts {most} attempts, and began {len(begun)} times")


def _check_once(entry: Entry, log: Log, report: Report) -> None:
    """Report a second run unless the first was released or failed."""
    begun, ended = log.begun[entry.message], log.ended[entry.message]
    given_back = sum(
        each.kind in {"Release", "Retry"} and each.answer != ""
        for each in log.settlements[entry.message]
    )
    if len(ended) > 1 or len(begun) > 1 + given_back:
        report.problems.append(
            f"once {entry.n} ({entry.message}) began {len(begun)} times and ended {len(ended)} "
            f"times, and was given back {given_back} times"
        )


def _check_copies(owners: Mapping[str, Entry], log: Log, report: Report) -> None:
    known = {(each.n, message) for message, each in owners.items()}
    for run in log.runs():
        if run.n < PROBES and (run.n, run.message) not in known:
            report.problems.append(f"task {run.n} ran as {run.message}, an unknown copy")


def _check_leases(owners: Mapping[str, Entry], log: Log, scene: Scene) -> None:
    """Tokens never repeat, end once, and no lease follows a confirmed end."""
    report = scene.report
    seen_last = _last_signs(log)
    for message, leases in log.leases.items():
        if message not in owners:
            continue
        name = f"{owners[message].kind.name} {owners[message].n} ({message})"
        ordered = sorted(leases, key=lambda each: each.token)
        if len({each.token for each in ordered}) < len(ordered):
            report.problems.append(f"{name} was leased twice with one token")
        settled = [each for each in log.settlements[message] if each.answer == Settled.DONE.name]
        if any(count > 1 for count in Counter(each.token for each in settled).values()):
            report.problems.append(f"{name} was settled twice with one token")
        final = [each for each in settled if each.kind in FINAL]
        # If a server forgets a lease when it is killed, and a clock is set back, the next token is smaller.
        if any(each.token > end.token and each.at > end.at for end in final for each in leases):
            report.problems.append(f"{name} was leased again after its confirmed end")
        asked = {each.token for each in log.settlements[message]}
        for first, second in pairwise(ordered):
            if first.token not in asked and seen_last[first.pid] > second.at:
                _check_taken(name, first, second, scene)


def _check_ended(owners: Mapping[str, Entry], log: Log, report: Report) -> None:
    """Report leases that were asked for after a confirmed end."""
    for message, entry in owners.items():
        if late := _leases_after_end(message, log):
            report.problems.append(
                f"{entry.kind.name} {entry.n} ({message}) was leased {len(late)} times after its confirmed end"
            )


def _check_doubles(owners: Mapping[str, Entry], log: Log, scene: Scene) -> None:
    """Report leases after the confirmed end of a message of which there can be no second copy.

    A second copy comes of a dispatch that was repeated, of an earlier lease, or of the count of a lost one. A server
    that was killed may have forgotten an end.
    """
    for message, entry in owners.items():
        for late in _leases_after_end(message, log):
            earlier = [each for each in log.leases[message] if each.at < late.asked_at]
            forgotten = any(
                name in FORGETS_ENDS and log.leases[message][0].at < ended and began < late.at
                for name, began, ended in scene.struck
            )
            if log.sent[message] == 1 and len(earlier) == 1 and not (earlier[0].lost or forgotten):
                scene.report.problems.append(
                    f"{entry.kind.name} {entry.n} ({message}) was leased again after its confirmed end"
                )
            else:
                scene.report.remarks["leases after a confirmed end"] += 1


def _leases_after_end(message: str, log: Log) -> list[Lease]:
    ends = [
        each.at
        for each in log.settlements[message]
        if each.answer == Settled.DONE.name and each.kind in FINAL
    ]
    return [each for each in log.leases[message] if ends and each.asked_at > min(ends)]


def _check_taken(name: str, first: Lease, second: Lease, scene: Scene) -> None:
    """Report a lease that ended too early although its worker neither settled it nor died."""
    # Processes see the end of a jump one after the other, and renew their leases after that.
    settled = 2 * LEASE
    if any(began < second.at and ended + settled > first.asked_at for began, ended in scene.jumps):
        return
    scene.report.remarks["leases that ended before their worker"] += 1
    if second.at - first.asked_at < LEASE * 0.95:
        scene.report.problems.append(
            f"{name} was leased again after {second.at - first.asked_at:.2f} s by a worker that lived"
        )


def _last_signs(log: Log) -> dict[int, float]:
    """When each process last wrote a line."""
    seen: dict[int, float] = defaultdict(float)
    for runs in (*log.begun.values(), *log.ended.values()):
        for run in runs:
            seen[run.pid] = max(seen[run.pid], run.at)
    for leases in log.leases.values():
        for lease in leases:
            seen[lease.pid] = max(seen[lease.pid], lease.at)
    return seen
