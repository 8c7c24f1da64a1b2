"""Families of metrics as an answer to a scrape."""

from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from importlib.util import find_spec
from typing import Any

from asynctasq.exposition.families import Family, Histogram, Kind
from asynctasq.records import record

LIBRARY = "prometheus_client"
MISSING = (
    "Metrics need the library prometheus-client. Install it: pip install 'asynctasq[prometheus]'."
)


@record
class Page:
    """An answer over HTTP."""

    status: HTTPStatus
    content_type: str
    body: bytes


def is_installed() -> bool:
    """Return whether the library prometheus-client is installed."""
    return find_spec(LIBRARY) is not None


def metrics_page(families: Sequence[Family], accept: str = "") -> Page:
    """Return a page with metrics; without the library, one that says how to install it.

    Args:
        families: the metrics.
        accept: the header `Accept` of the request, which chooses between the text format of Prometheus and
            OpenMetrics.
    """
    if not is_installed():
        return Page(
            HTTPStatus.NOT_IMPLEMENTED, "text/plain; charset=utf-8", f"{MISSING}\n".encode()
        )
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry(auto_describe=False)
    collector: Any = _Collector(families)
    registry.register(collector)
    encode, content_type = choose_encoder(accept)
    return Page(HTTPStatus.OK, content_type, encode(registry))


class _Collector:
    """Gives families to the library."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Iterator[Any]:
        return map(_metric, self._families)


def _metric(family: Family) -> Any:
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    if family.histograms:
        found = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for labels, histogram in family.histograms.items():
            found.add_metric(labels, _buckets(histogram), sum_value=histogram.total)
        return found
    make: Any = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    found = make(family.name, family.help, labels=family.labels)
    for labels, value in family.samples.items():
        found.add_metric(labels, value)
    return found


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = [(f"{bound:.4g}", float(count)) for bound, count in histogram.buckets]
    return [*bounds, ("+Inf", float(histogram.count))]
