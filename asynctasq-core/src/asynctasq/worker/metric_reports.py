"""Metric reports of worker processes, added up: what one port shows of all of them."""

from collections.abc import Iterable, Sequence
from typing import Any

from asynctasq.exposition import Family
from asynctasq.worker.health import Report
from asynctasq.worker.totals import Totals, add_totals, families_of


class MetricReports:
    """The last report of each worker process, and the totals of those that have ended.

    Totals never decrease when a process is replaced. What a process had counted after its last report is lost
    if it is killed.
    """

    def __init__(self) -> None:
        self._ended: Totals = {}

    def end(self, report: Report | None) -> None:
        """Keep the totals of a process that has ended.

        Args:
            report: the last one of the process; None if there is none.
        """
        if report is not None:
            add_totals(self._ended, report["totals"])

    def families(self, reports: Sequence[Report]) -> list[Family]:
        """Return the metrics of all processes together.

        Gauges of plugins have a label `process` if there are several processes.

        Args:
            reports: the last one of each live process.
        """
        totals: Totals = {pair: dict(counts) for pair, counts in self._ended.items()}
        for each in reports:
            add_totals(totals, each["totals"])
        return [*families_of(totals), *_gauges(reports), *_of_plugins(reports)]


def _gauges(reports: Sequence[Report]) -> Iterable[Family]:
    def gauge(name: str, about: str, value: Any) -> Family:
        return Family(f"asynctasq_{name}", about, samples={(): float(value)})

    yield gauge("processes", "Worker processes that have reported.", len(reports))
    yield gauge("slots", "Tasks that may run at the same time.", _sum(reports, "slots"))
    yield gauge("running", "Tasks that run now.", _sum(reports, "running"))
    yield gauge("held", "Messages that are fetched and not yet settled.", _sum(reports, "held"))
    lag = max((each["loop_lag"] for each in reports), default=0.0)
    yield gauge("loop_lag_seconds", "Time for which the slowest event loop has been blocked.", lag)


def _of_plugins(reports: Sequence[Report]) -> list[Family]:
    by_name: dict[str, list[tuple[dict[str, str], float]]] = {}
    helps: dict[str, str] = {}
    for number, report in enumerate(reports, 1):
        for name, value, labels, about in report["samples"]:
            own = {"process": str(report.get("number", number))} if len(reports) > 1 else {}
            by_name.setdefault(name, []).append(({**labels, **own}, float(value)))
            helps.setdefault(name, about)
    return [_gauge_of(name, helps[name], samples) for name, samples in by_name.items()]


def _gauge_of(name: str, about: str, samples: Sequence[tuple[dict[str, str], float]]) -> Family:
    names = tuple(sorted({label for labels, _ in samples for label in labels}))
    values = {tuple(labels.get(each, "") for each in names): value for labels, value in samples}
    return Family(name, about, labels=names, samples=values)


def _sum(reports: Sequence[Report], name: str) -> float:
    return float(sum(each[name] for each in reports))
