"""docs/guarantees.md names what shows each guarantee: all of it exists, and shows that one."""

import re
from pathlib import Path

import pytest

from asynctasq.conformance.themes import all_checks

ROOT = Path(__file__).resolve().parent.parent
LETTERS = "abcdefghijkl"
CHECKS = {check.name: check.proves for check in all_checks()}


def sections() -> dict[str, str]:
    """Heading of each part that names evidence, and the names."""
    text = (ROOT / "docs" / "guarantees.md").read_text()
    parts = re.split(r"^##+ ", text, flags=re.MULTILINE)
    return {
        part.partition("\n")[0]: part.partition("\nShown by ")[2]
        for part in parts
        if "\nShown by " in part
    }


def names_of_tests() -> set[str]:
    files = (ROOT / "tests").rglob("test_*.py")
    return {name for path in files for name in re.findall(r"def (test_\w+)", path.read_text())}


def test_every_guarantee_has_its_evidence() -> None:
    assert [heading[0] for heading in sections()][: len(LETTERS)] == list(LETTERS)
    assert {letter for proves in CHECKS.values() for letter in proves} == set(LETTERS)


@pytest.mark.parametrize("heading", sections())
def test_the_evidence_exists_and_concerns_the_guarantee(heading: str) -> None:
    names = re.findall(r"`(\w+)`", sections()[heading])
    assert names
    tests = names_of_tests()
    letter = heading[0] if heading[1:2] == "." else ""
    for name in names:
        if name.startswith("test_"):
            assert name in tests, f"there is no test {name}"
        else:
            assert letter in CHECKS.get(name, "-"), f"{name} does not prove {letter}"
