"""The benchmarks of Redis run: with tiny numbers, nothing about time, and no peers."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import redis_bench


def test_measurement_gives_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    redis_bench.main(["--tiny", "--only", "sleeping", "--json", str(file)])
    session: dict[str, Any] = json.loads(file.read_text())
    assert {each["key"] for each in session["figures"]} == {"sleeping.speed", "sleeping.ratio"}
    assert all(value > 0 for each in session["figures"] for value in each["values"])
    assert session["machine"]["packages"]["redis"]
    assert "against a bare uvloop" in capsys.readouterr().out
