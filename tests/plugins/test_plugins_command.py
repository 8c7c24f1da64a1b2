"""`asynctasq plugins list`, mostly in its own process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import asynctasq
from asynctasq.cli import main
from asynctasq.plugins.missing import framework_missing
from tests.plugins.conftest import Site

pytestmark = pytest.mark.sampled(3)

KEYS = {
    "kind",
    "name",
    "distribution",
    "version",
    "state",
    "value",
    "api_version",
    "capabilities",
    "error",
}
NEVER_FOR_A_LISTING = {
    "asynctasq.app",
    "asynctasq.worker",
    "asynctasq.drivers",
    "asynctasq.serializers",
    "asynctasq.executors",
    "pydantic",
    "pydantic_settings",
    "sqlite3",
    "uvloop",
    "msgpack",
    "orjson",
}


def run(*arguments: str, path: Path | None = None, **environment: str) -> Any:
    """Run the command line in a new process, with `path` on its module path."""
    paths = [str(path)] if path is not None else []
    return subprocess.run(
        [sys.executable, "-m", "asynctasq.cli", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def listed(completed: Any) -> dict[str, Any]:
    return {each["name"]: each for each in json.loads(completed.stdout)}


def test_the_table_names_everything_in_full(site: Site) -> None:
    site.install_driver(
        "shelf", "a-distribution-with-a-very-long-name-that-no-table-may-cut", "oak"
    )
    completed = run("plugins", "list", path=site.folder)
    assert (completed.returncode, completed.stderr) == (0, "")
    rows = [line.split() for line in completed.stdout.splitlines()]
    assert ["driver", "memory", "asynctasq", asynctasq.__version__, "available"] in rows
    assert [
        "driver",
        "shelf",
        "a-distribution-with-a-very-long-name-that-no-table-may-cut",
        "1.0",
        "available",
    ] in rows


def test_plugins_are_listed_without_a_command() -> None:
    assert (
        run("plugins", "--kind", "executor").stdout
        == run("plugins", "list", "--kind", "executor").stdout
    )
    assert "Did you mean 'list'?" in run("plugins", "lst").stderr


def test_a_listing_imports_no_plugin_and_no_worker(site: Site) -> None:
    site.install_driver("shelf", "oak-shelf", "oak")
    program = (
        "import sys\n"
        "from asynctasq.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "print(*sorted(sys.modules), file=sys.stderr)\n"
    )
    completed = subprocess.run(
        [sys.executable, "-c", program, "plugins", "list", "--json"],
        env={**os.environ, "PYTHONPATH": str(site.folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "shelf" in listed(completed)
    imported = set(completed.stderr.split())
    assert not imported & (NEVER_FOR_A_LISTING | {"oak", "rich"})


def test_json_is_stable(site: Site) -> None:
    site.install_driver("shelf", "oak-shelf", "oak", version="3.1")
    found = listed(run("plugins", "list", "--json", path=site.folder))
    assert found["shelf"] == {
        "kind": "driver",
        "name": "shelf",
        "distribution": "oak-shelf",
        "version": "3.1",
        "state": "available",
        "value": "oak.plugin",
        "api_version": None,
        "capabilities": None,
        "error": None,
    }
    assert all(set(each) == KEYS for each in found.values())


def test_kind_selects() -> None:
    found = json.loads(run("plugins", "list", "--json", "--kind", "executor").stdout)
    assert {each["kind"] for each in found} == {"executor"}
    completed = run("plugins", "list", "--kind", "drivers")
    assert completed.returncode == 2
    assert "'drivers' is not one of 'driver'" in completed.stderr


def test_check_imports_and_judges(site: Site) -> None:
    site.install_driver("shelf", "oak-shelf", "oak")
    site.install("pine-shelf", "[asynctasq.drivers]\npine = pine_is_nowhere\n")
    completed = run("plugins", "list", "--json", "--check", "--kind", "driver", path=site.folder)
    assert completed.returncode == 1
    found = listed(completed)
    assert (found["shelf"]["state"], found["shelf"]["api_version"]) == ("available", 2)
    assert found["shelf"]["capabilities"] == []
    assert "UNIQUE" in found["memory"]["capabilities"]
    assert found["pine"]["state"] == "broken"
    assert "No module named 'pine_is_nowhere'" in found["pine"]["error"]
    table = run("plugins", "list", "--check", "--kind", "driver", path=site.folder)
    assert table.returncode == 1
    assert found["pine"]["error"] in table.stdout
    rows = [each for each in table.stdout.splitlines() if each.startswith("driver ")]
    assert max(map(len, rows)) <= 100
    [memory] = [each for each in rows if each.startswith("driver  memory")]
    assert memory.endswith(f" {len(found['memory']['capabilities'])}")
    wide = run("plugins", "list", "--check", "--kind", "driver", "--wide", path=site.folder)
    assert "unique" in wide.stdout


def test_resolver_without_its_framework_is_not_installed_rather_than_broken(site: Site) -> None:
    site.install("pine-models", "[asynctasq.resolvers]\npine_orm = pine_is_nowhere\n")
    completed = run("plugins", "list", "--json", "--check", "--kind", "resolver", path=site.folder)
    assert completed.returncode == 0
    found = listed(completed)["pine_orm"]
    assert (found["state"], found["error"]) == ("not installed", "pine_orm is not installed")
    assert framework_missing("django") == "django is not installed: pip install 'asynctasq[django]'"


def test_a_conflict_is_shown_and_fails_a_check_of_its_kind_only(site: Site) -> None:
    site.install_driver("shelf", "oak-shelf", "oak")
    site.install_driver("shelf", "pine-shelf", "pine")
    completed = run("plugins", "list", path=site.folder)
    assert completed.returncode == 0
    assert completed.stdout.count("conflict") == 2
    checked = run("plugins", "list", "--check", "--kind", "driver", path=site.folder)
    assert checked.returncode == 1
    assert checked.stdout.count("2 plugins claim the driver name 'shelf'") == 1
    assert run("plugins", "list", "--check", "--kind", "executor", path=site.folder).returncode == 0


def test_built_ins_pass_the_check() -> None:
    completed = run("plugins", "list", "--check", "--json")
    own = [each for each in json.loads(completed.stdout) if each["distribution"] == "asynctasq"]
    assert {(each["state"], each["error"]) for each in own} == {("available", None)}


@pytest.mark.parametrize("text", ["shelf", "sqlite, oak-shelf", '["driver:shelf"]'])
def test_the_environment_disables(site: Site, text: str) -> None:
    site.install_driver("shelf", "oak-shelf", "oak")
    completed = run(
        "plugins", "list", "--json", "--check", path=site.folder, ASYNCTASQ_DISABLE_PLUGINS=text
    )
    assert listed(completed)["shelf"]["state"] == "disabled"


def test_a_dotenv_file_disables(site: Site) -> None:
    site.install_driver("shelf", "oak-shelf", "oak")
    Path(".env").write_text("ASYNCTASQ_DISABLE_PLUGINS=shelf\n")
    assert (
        listed(run("plugins", "list", "--json", path=site.folder))["shelf"]["state"] == "disabled"
    )


@pytest.mark.parametrize("text", ["[1", "thing:shelf"])
def test_a_wrong_setting_is_one_clear_line(text: str) -> None:
    completed = run("plugins", "list", ASYNCTASQ_DISABLE_PLUGINS=text)
    assert completed.returncode == 1
    assert completed.stderr.startswith("Error: ")
    assert "Traceback" not in completed.stderr


def test_nothing_of_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(main, ["plugins", "list", "--kind", "hook"])
    assert (result.exit_code, result.output) == (0, "No plugins.\n")
