"""Metric reports of several processes, added up."""

import json
from typing import Any

from asynctasq.counts import BOUNDS, RUN, WAIT, Count
from asynctasq.exposition import Family, metrics_page
from asynctasq.worker.metric_reports import MetricReports


def report(
    completed: int, *, queue: str = "q", samples: list[list[Any]] | None = None
) -> dict[str, Any]:
    """Return a report as it comes over the channel of a process."""
    counts = {
        Count.COMPLETED.value: completed,
        RUN + 3: completed,
        WAIT + 59: 1,
        Count.RUN_MICROS.value: 5_000 * completed,
        Count.WAIT_MICROS.value: 2_000_000,
    }
    found = {
        "totals": [[queue, "t", counts]],
        "slots": 10,
        "running": 2,
        "held": 3,
        "loop_lag": 0.5 * completed,
        "samples": samples or [],
    }
    decoded: dict[str, Any] = json.loads(json.dumps(found))
    return decoded


def by_name(families: list[Family]) -> dict[str, Family]:
    return {each.name: each for each in families}


def test_reports_of_live_and_ended_processes_are_added_up() -> None:
    reports = MetricReports()
    reports.end(report(5))
    reports.end(None)
    found = by_name(reports.families([report(1), report(2, queue="other")]))
    assert found["asynctasq_attempts"].samples == {
        ("q", "t", "completed"): 6.0,
        ("other", "t", "completed"): 2.0,
    }
    run = found["asynctasq_attempt_seconds"].histograms["q", "t"]
    assert run.count == 6
    assert run.total == 0.03
    assert dict(run.buckets)[BOUNDS[3]] == 6
    wait = found["asynctasq_start_latency_seconds"].histograms["q", "t"]
    assert [count for _, count in wait.buckets][-2:] == [0, 2]
    assert found["asynctasq_slots"].samples == {(): 20.0}
    assert found["asynctasq_running"].samples == {(): 4.0}
    assert found["asynctasq_loop_lag_seconds"].samples == {(): 1.0}
    again = by_name(reports.families([]))
    assert again["asynctasq_attempts"].samples == {("q", "t", "completed"): 5.0}
    assert again["asynctasq_slots"].samples == {(): 0.0}


def test_gauges_of_plugins_are_told_apart_by_their_process() -> None:
    one = report(1, samples=[["shop_pool", 3, {"pool": "a"}, "Connections."]])
    two = {**report(1, samples=[["shop_pool", 4, {}, ""]]), "number": 7}
    alone = by_name(MetricReports().families([one]))["shop_pool"]
    assert (alone.labels, dict(alone.samples)) == (("pool",), {("a",): 3.0})
    both = by_name(MetricReports().families([one, two]))["shop_pool"]
    assert both.labels == ("pool", "process")
    assert dict(both.samples) == {("a", "1"): 3.0, ("", "7"): 4.0}
    assert b'shop_pool{pool="a",process="1"} 3.0' in metrics_page([both]).body
