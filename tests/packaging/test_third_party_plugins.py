"""Plugins of every other kind: begun with `plugins new`, built, installed, tested and found."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.conftest import Built, Environment

TOOLS = ("pytest", "pytest-xdist")
LIST = """
import json
from asynctasq.plugins import PluginRegistry
found = PluginRegistry(disabled=["executor:thread:asynctasq"]).check()
print(json.dumps([[each.kind, each.name, each.distribution, each.state] for each in found]))
"""


@pytest.mark.full
@pytest.mark.parametrize(
    ("kind", "entry_point"),
    [
        ("serializer", "new_serializer"),
        ("resolver", "asynctasq_new_resolver"),
        ("executor", "thread"),
        ("hooks", "new_hooks"),
    ],
)
def test_a_new_plugin_passes_its_tests_and_is_found_where_it_is_installed(
    kind: str,
    entry_point: str,
    core: Built,
    make_environment: Callable[..., Environment],
    build: Callable[[Path], Built],
    install: Callable[..., None],
    tmp_path: Path,
) -> None:
    environment = make_environment(core.wheel, *TOOLS, purpose=kind)
    new = ("asynctasq", "plugins", "new", f"new-{kind}", "--kind", kind, "--author", "Ada")
    environment.run(*new, cwd=tmp_path)
    project = tmp_path / f"asynctasq-new-{kind}"
    install(environment, build(project).wheel)

    command = ("python", "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider")
    tested = environment.run(*command, cwd=project, timeout=110)
    assert " passed" in tested.stdout
    assert "skipped" not in tested.stdout

    listed = environment.run("python", "-c", LIST, cwd=tmp_path)
    plugin = [kind.removesuffix("s"), entry_point, f"asynctasq-new-{kind}", "available"]
    assert plugin in json.loads(listed.stdout)
