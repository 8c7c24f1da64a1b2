"""The tutorial on writing a driver prints the example driver, all of it and nothing else."""

import importlib
import re
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from asynctasq.cli import main
from asynctasq.contracts.capabilities import PROTOCOLS, RESERVED, Capability
from asynctasq.message import Delivery, Message
from tests.docs.blocks import blocks_of, looks_like, screens_of

ROOT = Path(__file__).resolve().parent.parent
TUTORIAL = ROOT / "docs" / "writing-a-driver.md"
PROJECT = ROOT / "examples" / "asynctasq-filequeue"
BLOCK = re.compile(r'^```\w+ title="(?P<file>[^"]+)"\n(?P<code>.*?)^```$', re.MULTILINE | re.DOTALL)


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _printed() -> dict[str, list[str]]:
    printed: dict[str, list[str]] = {}
    for block in BLOCK.finditer(TUTORIAL.read_text()):
        printed.setdefault(block["file"], []).extend(_lines(block["code"]))
    return printed


def test_tutorial_prints_every_file_of_the_example() -> None:
    files = {
        str(path.relative_to(PROJECT))
        for pattern in ("pyproject.toml", "src/**/*.py", "tests/*.py")
        for path in PROJECT.glob(pattern)
    }
    assert set(_printed()) == files


@pytest.mark.parametrize("file", sorted(_printed()))
def test_printed_code_is_the_example_itself(file: str) -> None:
    assert _printed()[file] == _lines((PROJECT / file).read_text())


def test_tutorial_lists_every_capability_with_its_methods() -> None:
    rows = dict(
        re.findall(r"^\| `([A-Z_]+)` \|.*?\|([^|]*)\|$", TUTORIAL.read_text(), re.MULTILINE)
    )
    assert set(rows) == {flag.name for flag in Capability if flag not in RESERVED}
    for flag, protocol in PROTOCOLS.items():
        methods = {name for name in vars(protocol) if not name.startswith("_")}
        assert set(re.findall(r"`(\w+)`", rows[str(flag.name)])) == methods


def test_tutorial_explains_every_field_of_a_message_and_a_delivery() -> None:
    text = TUTORIAL.read_text()
    part = text[text.index("## What a message holds") : text.index("## The rules")]
    rows = re.findall(r"^\| `(\w+)`<br>", part, re.MULTILINE)
    assert sorted(rows) == sorted(field.name for field in fields(Message))
    for field in fields(Delivery):
        assert field.name == "message" or f"`{field.name}`" in part


def test_screens_of_the_tutorial_show_what_is_printed() -> None:
    screens = [
        screen
        for block in blocks_of(TUTORIAL)
        if block.language == "console"
        for screen in screens_of(block)
    ]
    assert screens
    for screen in screens:
        program, *arguments = screen.argv
        assert program == "asynctasq"
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        assert looks_like(screen.expected, result.output), result.output


def test_names_in_the_tutorial_exist() -> None:
    names = set(re.findall(r"`(asynctasq(?:\.\w+)+)[`(]", TUTORIAL.read_text()))
    assert names
    missing = [name for name in sorted(names) if not _exists(name)]
    assert not missing


def _exists(name: str) -> bool:
    """Return whether a module, or a member of a module, has that dotted name."""
    module, _, attribute = name.rpartition(".")
    return hasattr(importlib.import_module(module), attribute) or bool(find_spec(name))
