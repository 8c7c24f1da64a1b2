"""The benchmarks of Redis run: with tiny numbers, nothing about time, and no peers."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import redis_bench

ROOT = Path(__file__).resolve().parents[2]


def test_measurement_gives_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    redis_bench.main(["--tiny", "--only", "sleeping", "--json", str(file)])
    session: dict[str, Any] = json.loads(file.read_text())
    assert {each["key"] for each in session["figures"]} == {"sleeping.speed", "sleeping.ratio"}
    assert all(value > 0 for each in session["figures"] for value in each["values"])
    assert session["machine"]["packages"]["redis"]
    assert "against a bare uvloop" in capsys.readouterr().out


def test_the_document_has_its_marks() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    assert text.index(redis_bench.BEGIN) < text.index(redis_bench.END)
