"""The board, the alerts and the scaled object in `examples/monitoring`: they use metrics that exist."""

import json
import re
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from asynctasq.cli import store_metrics
from asynctasq.counts import RUN, WAIT, Count
from asynctasq.exposition import Family
from asynctasq.worker.metric_reports import MetricReports

yaml: Any = import_module("yaml")
FOLDER = Path(__file__).resolve().parents[2] / "examples" / "monitoring"
NAME = re.compile(r"\basynctasq_\w+")
SUFFIXES = ("_total", "_bucket", "_sum", "_count")


def exported() -> dict[str, set[str]]:
    """Return the labels of all metrics by name."""
    counts = {str(number): 1 for number in (Count.COMPLETED, RUN, WAIT)}
    report = {
        "totals": [["q", "t", counts]],
        "slots": 1,
        "running": 1,
        "held": 1,
        "loop_lag": 0.0,
        "samples": [],
    }
    families: list[Family] = [
        *MetricReports().families([report]),
        store_metrics.up_family(1.0),
        *store_metrics.queue_families([]),
        *store_metrics.worker_families([]),
    ]
    return {each.name: set(each.labels) for each in families}


def expressions() -> list[str]:
    board = json.loads((FOLDER / "board.json").read_text())
    targets = chain.from_iterable(panel["targets"] for panel in board["panels"])
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    rules = chain.from_iterable(group["rules"] for group in groups)
    return [*(each["expr"] for each in targets), *(each["expr"] for each in rules)]


@pytest.mark.parametrize("expression", expressions())
def test_queries_use_metrics_that_exist(expression: str) -> None:
    known = exported()
    names = NAME.findall(expression)
    assert names
    for name in names:
        base = next((name.removesuffix(end) for end in SUFFIXES if name.endswith(end)), name)
        assert base in known or name in known, name
    for label in re.findall(r"(\w+)(?:=~?)\"", expression):
        assert any(label in labels for labels in known.values()), label


def test_panels_of_the_board_do_not_overlap() -> None:
    board = json.loads((FOLDER / "board.json").read_text())
    places = [(each["gridPos"]["x"], each["gridPos"]["y"]) for each in board["panels"]]
    assert len(set(places)) == len(places)
    assert len({each["id"] for each in board["panels"]}) == len(places)
    assert {each["name"] for each in board["templating"]["list"]} == {"source", "queue"}


def test_the_scaled_object_reads_what_the_command_answers() -> None:
    document: dict[str, Any] = yaml.safe_load((FOLDER / "scaled-object.yaml").read_text())
    [trigger] = document["spec"]["triggers"]
    assert trigger["type"] == "metrics-api"
    assert trigger["metadata"]["valueLocation"] == "wanted_slots"
    assert "/scale?queue=" in trigger["metadata"]["url"]
