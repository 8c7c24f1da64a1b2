"""The reference is complete: what is made from the code is current, and every public name is there."""

import re

import click
import pytest

import asynctasq
from asynctasq import hookspecs
from asynctasq.cli import main
from asynctasq.config import describe_settings
from asynctasq.contracts.capabilities import RESERVED, Capability
from asynctasq.tasks.decorator import FunctionOptions
from asynctasq.tasks.options import DispatchOptions
from scripts.document import DOCS, stale_pages
from scripts.document_commands import commands_of
from scripts.document_hooks import is_hook
from scripts.public_api import PUBLIC_MODULES

NOT_CLASSES_OR_FUNCTIONS = {"__version__"}


def page(name: str) -> str:
    return (DOCS / name).read_text()


def test_pages_made_from_the_code_are_current() -> None:
    assert not stale_pages(), "run `make docs-pages`"


def test_every_hook_has_its_line() -> None:
    hooks = [name for name, value in vars(hookspecs).items() if is_hook(value)]
    assert len(hooks) > 15
    assert not [name for name in hooks if f"| `{name}(" not in page("reference/hooks.md")]


def test_every_setting_has_its_line() -> None:
    text = page("settings.md")
    assert not [each.name for each in describe_settings() if f"| `{each.name}`<br>" not in text]


def test_every_option_of_tasks_has_its_line() -> None:
    options = {*FunctionOptions.__annotations__, *DispatchOptions.__annotations__}
    text = page("reference/task-options.md")
    assert not [name for name in sorted(options) if f"\n| `{name}` |" not in text]


def test_every_command_and_option_has_its_line() -> None:
    text = page("reference/cli.md")
    missing: list[str] = []

    def look(group: click.Group, path: str) -> None:
        for name, command in commands_of(group).items():
            section = text.partition(f"# `{path} {name}`\n")[2].partition("\n#")[0]
            for each in command.params:
                shown = isinstance(each, click.Option) and not each.hidden
                if not section or (shown and max(each.opts, key=len) not in section):
                    missing.append(f"{path} {name} {each.opts}")
            if isinstance(command, click.Group):
                look(command, f"{path} {name}")

    look(main, "asynctasq")
    assert not missing


def test_every_capability_has_its_line() -> None:
    text = page("reference/drivers.md")
    names = [str(flag.name) for flag in Capability if flag not in RESERVED]
    assert not [name for name in names if f"| `{name}` |" not in text]


MODULES = [name for names in PUBLIC_MODULES.values() for name in names if name != "asynctasq"]


def documented() -> set[str]:
    """Return the names that the pages under *Python* document."""
    pages = [path.read_text() for path in (DOCS / "reference" / "api").glob("*.md")]
    return {name for text in pages for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)}


def test_every_public_name_of_asynctasq_is_documented() -> None:
    names = {f"asynctasq.{name}" for name in asynctasq.__all__} - {
        f"asynctasq.{name}" for name in NOT_CLASSES_OR_FUNCTIONS
    }
    assert not names - documented()


@pytest.mark.parametrize("module", MODULES)
def test_every_public_module_is_documented(module: str) -> None:
    assert any(name == module or name.startswith(f"{module}.") for name in documented())


def test_every_page_has_its_place_in_the_site() -> None:
    site = (DOCS.parent / "mkdocs.yml").read_text()
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    named = set(re.findall(r"[\w/-]+\.md", site.partition("\nnav:")[2].partition("\nplugins:")[0]))
    assert named == pages
