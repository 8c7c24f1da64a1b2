"""The benchmarks run, and say what they should: with tiny numbers, and nothing about time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import command, comparison, plots, report
from benchmarks.harness.figures import Figure, percentiles, shown

pytestmark = pytest.mark.sampled(3)

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / ".venvs"

Measured = Callable[..., dict[str, Any]]

FIGURES = {
    "worker": {
        "worker.cpu.memory",
        "worker.speed.memory",
        "worker.cpu.sqlite",
        "worker.speed.sqlite",
        "worker.bare.sqlite",
        "worker.ratio.sqlite",
        "worker.cpu_ratio.sqlite",
    },
    "bulk": {
        "bulk.cpu.memory",
        "bulk.speed.memory",
        "bulk.cpu.sqlite",
        "bulk.speed.sqlite",
        "bulk.bare.sqlite",
        "bulk.ratio.sqlite",
        "bulk.cpu_ratio.sqlite",
    },
    "latency": {
        "latency.inside.memory",
        "latency.inside.sqlite",
        "latency.across.sqlite",
        "latency.commit.sqlite",
    },
    "idle": {
        "idle.cpu.memory",
        "idle.memory.memory",
        "idle.cpu.sqlite",
        "idle.memory.sqlite",
        "growth.sqlite",
    },
    "depth": {
        f"depth.{call}.{clock}.{store}"
        for call in ("reserve", "settle", "enqueue")
        for clock in ("cpu", "wall")
        for store in ("memory", "sqlite")
    },
    "start": {"start.import", "start.modules", "start.list", "start.list.cpu"},
}


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    """Return a function that runs the command and returns the JSON that it wrote."""

    def run(*arguments: str) -> dict[str, Any]:
        file = tmp_path / "figures.json"
        folder = str(tmp_path / "files")
        command.main([*arguments, "--tiny", "--json", str(file), "--folder", folder])
        assert not list((tmp_path / "files").iterdir())
        session: dict[str, Any] = json.loads(file.read_text())
        return session

    return run


@pytest.mark.parametrize("name", FIGURES)
def test_measurement_gives_its_figures(
    name: str, measured: Measured, capsys: pytest.CaptureFixture[str]
) -> None:
    session = measured("all", "--only", name)
    printed = capsys.readouterr().out
    assert {figure["key"] for figure in session["figures"]} == FIGURES[name]
    for figure in session["figures"]:
        assert all(isinstance(value, float) and value >= 0 for value in figure["values"])
        assert figure["title"] in printed
    assert session["scale"]["name"] == "tiny"
    assert session["machine"]["packages"]["asynctasq"]
    for run in session["runs"]:
        assert run["measurement"] == name
        assert run["load_before"] >= 0


def test_one_store_can_be_chosen(measured: Measured) -> None:
    session = measured("memory", "--only", "bulk")
    assert {figure["key"] for figure in session["figures"]} == {
        "bulk.cpu.memory",
        "bulk.speed.memory",
    }


@pytest.mark.full
def test_peer_does_the_same_work_and_loses_what_ran_when_it_was_killed(measured: Measured) -> None:
    session = measured("all", "--only", "peers", "--environments", str(ENVIRONMENTS))
    figures = {figure["key"]: figure for figure in session["figures"]}
    assert session["peers"]["huey"]["version"]
    assert figures["peers.killed.asynctasq"]["median"] == 0
    assert figures["peers.killed.huey"]["median"] > 0
    assert figures["peers.huey.speed.fsync"]["median"] > 0
    assert figures["peers.huey.speed.no_fsync"]["median"] > 0
    assert len(figures["peers.huey.latency"]["values"]) == session["scale"]["latency_samples"]


def test_every_measurement_is_tested() -> None:
    assert {*FIGURES, "peers"} == set(command.MEASUREMENTS)


@pytest.mark.parametrize(
    ("values", "bars", "verdict"),
    [
        ((1.0, 9.0, 2.0), {"at_most": 2.0}, "met"),
        ((1.0, 9.0, 3.0), {"at_most": 2.0}, "missed"),
        ((0.3,), {"at_least": 0.3}, "met"),
        ((0.29,), {"at_least": 0.3}, "missed"),
        ((0.29,), {"at_least": 0.3, "noisy": True}, "missed (noisy)"),
        ((1.0,), {}, ""),
        ((1.0,), {"noisy": True}, "(noisy)"),
    ],
)
def test_verdict_is_of_the_median(
    values: tuple[float, ...], bars: dict[str, Any], verdict: str
) -> None:
    assert Figure("key", "title", "ms", values, **bars).verdict == verdict


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.01234, "0.0123"),
        (0.3, "0.3"),
        (2.5, "2.5"),
        (35.0, "35"),
        (12345.6, "12,346"),
    ],
)
def test_figures_are_shown_by_the_digits_that_matter(value: float, text: str) -> None:
    assert shown(value) == text


def test_percentiles_are_of_all_samples() -> None:
    found = percentiles([float(number) for number in range(1, 101)])
    assert found == {"p50": 51.0, "p90": 91.0, "p99": 100.0, "worst": 100.0}


def test_document_is_updated_between_its_marks(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    for _ in range(2):
        report.update(document, "new")
        text = document.read_text()
        assert text.splitlines() == ["before", report.BEGIN, "", "new", "", report.END, "after"]
    document.write_text("no marks")
    with pytest.raises(ValueError, match="lacks"):
        report.update(document, "new")


def test_the_document_has_its_marks() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    assert text.index(report.BEGIN) < text.index(report.END)


def test_chart_shows_labels_and_values_without_a_script() -> None:
    bars = [plots.Bar("Huey", 300.0), plots.Bar("asynctasq", 30_000.0, ours=True)]
    picture = plots.chart("Tasks per second", bars, ["More is better."])
    assert picture.index(">asynctasq<") < picture.index(">Huey<")
    assert ">30,000<" in picture
    assert picture.count(plots.OURS) == 3  # the bar, its label and its value
    assert "<script" not in picture


def test_chart_of_the_document_shows_its_figures() -> None:
    assert comparison.PICTURE.read_text() == comparison.draw(comparison.DOCUMENT.read_text())


def test_chart_needs_all_figures() -> None:
    text = comparison.DOCUMENT.read_text()
    with pytest.raises(ValueError, match="drain, streaQ"):
        comparison.draw(text.replace("drain, streaQ: tasks", "streaQ: tasks"))
    with pytest.raises(ValueError, match="when"):
        comparison.draw(text.replace("Measured on", "Guessed on"))
