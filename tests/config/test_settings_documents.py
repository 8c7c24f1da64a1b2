"""The documents about settings are true: descriptions, and the published file."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from asynctasq.cli import main
from asynctasq.config import (
    Settings,
    describe_plugin_settings,
    describe_settings,
    load_settings,
)
from asynctasq.config.values import convert_text, value_as_text
from asynctasq.plugins import PluginRegistry
from tests.config.toy_settings import Mode, ShelfSettings


def publish(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["publish", *arguments])
    return result.exit_code, result.output


def settings_of(dotenv: Path, *drivers: str) -> list[object]:
    """Return the settings in the file, of core and of the drivers."""
    registry = PluginRegistry()

    def settings_class(name: str) -> type | None:
        kind = "driver" if name in registry.names("driver") else "serializer"
        return registry.settings_class(kind, name)

    names = [*registry.names("driver"), *registry.names("serializer")]
    loaded = load_settings(
        settings_class=settings_class, known_plugins=names, environ={}, dotenv=dotenv
    )
    core = replace(loaded, sections=None)  # which has what was said of other plugins, too
    return [core, *(loaded.plugin(name) for name in drivers)]


def test_every_setting_of_core_is_described() -> None:
    described = {info.name: info for info in describe_settings()}
    internal = {
        "driver_name",
        "driver_instance",
        "serializer_instance",
        "sections",
        "sources",
        "unchecked_durations",
    }
    assert set(described) == set(Settings.__dataclass_fields__) - internal
    assert all(info.description.endswith(".") for info in described.values())
    assert described["lease"].variable == "ASYNCTASQ_LEASE"
    assert described["lease"].type == "a number or none, at least 0.1"
    assert described["lease"].default is None
    assert "none: the default of the driver" in described["lease"].description


def test_settings_of_plugins_are_described_by_metadata_or_docstring() -> None:
    described = {info.name: info for info in describe_plugin_settings("shelf", ShelfSettings)}
    assert described["shelf.path"].description == "Where the shelf is, as a path."
    assert described["shelf.password"].description == "Opens the shelf."
    assert described["shelf.size"].description == ""
    assert described["shelf.size"].variable == "ASYNCTASQ_SHELF_SIZE"
    assert described["shelf.mode"].type == "one of 'fast', 'safe'"


@pytest.mark.parametrize(
    "value, hint",
    [
        (None, int | None),
        (True, bool),
        (1e22, float),
        (Mode.FAST, Mode),
        (Path("a b"), Path),
        ((), tuple[str, ...]),
        (("a", "b"), tuple[str, ...]),
        (("a,b", '"', "[", ""), tuple[str, ...]),
        ([1, 2], list[int]),
        ({"a": "b,c"}, dict[str, str]),
        ("x", str),
    ],
)
def test_a_value_written_as_text_is_read_back(value: object, hint: object) -> None:
    assert convert_text(value_as_text(value), hint) == value


def test_publish_writes_every_setting_commented_out(tmp_path: Path) -> None:
    code, output = publish()
    assert code == 0
    written = tmp_path / ".env.example"
    assert str(written) in output
    text = written.read_text()
    assert all(f"\n#{info.variable}=" in text for info in describe_settings())
    assert "\n#ASYNCTASQ_MEMORY_NAMESPACE=asynctasq\n" in text
    assert "\n#ASYNCTASQ_SQLITE_NAMESPACE=asynctasq\n" in text
    assert all(line.startswith("#") for line in text.splitlines() if line)


def test_the_published_file_says_the_defaults(tmp_path: Path) -> None:
    publish()
    text = (tmp_path / ".env.example").read_text()
    (tmp_path / ".env").write_text(re.sub(r"^#(?=ASYNCTASQ_)", "", text, flags=re.MULTILINE))
    drivers = ("sqlite", "memory")
    assert settings_of(tmp_path / ".env", *drivers) == settings_of(tmp_path / "none", *drivers)


@pytest.mark.parametrize("name", ["mine.env", "."])
def test_publish_writes_where_it_is_told(tmp_path: Path, name: str) -> None:
    assert publish("--output", str(tmp_path / name))[0] == 0
    assert (tmp_path / name.replace(".", ".env.example", 1 if name == "." else 0)).is_file()


def test_publish_does_not_overwrite_unless_told_so(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text("mine")
    code, output = publish()
    assert code != 0
    assert "--force" in output
    assert (tmp_path / ".env.example").read_text() == "mine"
    assert publish("--force")[0] == 0
    assert (tmp_path / ".env.example").read_text() != "mine"


def test_publish_says_why_it_cannot_write(tmp_path: Path) -> None:
    code, output = publish("--output", str(tmp_path / "missing" / ".env"))
    assert code != 0
    assert "No such file or directory" in output
