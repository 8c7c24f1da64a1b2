"""The group of commands: lazy, extensible, and clear about errors."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from asynctasq import App, __version__
from asynctasq.cli import main
from asynctasq.cli.commands import Commands
from asynctasq.cli.exit_codes import ExitCode
from asynctasq.message import Message, new_id
from tests.plugins.conftest import Site

HOOKS = """
    import click
    from asynctasq.hookspecs import hookimpl

    @hookimpl
    def register_commands(cli):
        @cli.command()
        def stocktake():
            "Count what is on the shelf."
            click.echo("3 books")
"""
COMMANDS = """
    import click
    from asynctasq.errors import ConfigurationError

    @click.command()
    def greet():
        "Not shown."
        click.echo("hello")

    @click.command()
    def fail():
        raise ConfigurationError("concurency: unknown setting")

    @click.command()
    def crash():
        raise ZeroDivisionError("a bug")
"""


@pytest.fixture
def commands(site: Site) -> click.Command:
    """Return a group like `main`, with commands in modules that are made for the test."""
    site.write_module("some_commands", COMMANDS)

    @click.group(
        cls=Commands,
        built_in={
            name: (f"some_commands:{name}", f"To {name}.") for name in ("greet", "fail", "crash")
        },
    )
    @click.option("--debug", is_flag=True, envvar="ASYNCTASQ_DEBUG")
    def group(debug: bool) -> None: ...

    return group


def install_hooks(site: Site, source: str = HOOKS, name: str = "shelf") -> None:
    site.install(
        f"oak-{name}", f"[asynctasq.hooks]\n{name} = {name}_hooks\n", {f"{name}_hooks": source}
    )


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(option: str) -> None:
    result = CliRunner().invoke(main, [option])
    assert (result.exit_code, result.output) == (0, f"asynctasq {__version__}\n")


def test_the_package_is_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "asynctasq", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: asynctasq [OPTIONS] COMMAND")


@pytest.mark.parametrize(
    "typed, hint",
    [
        ("run", "To start a worker: asynctasq worker --app MODULE"),
        ("start", "To start a worker: asynctasq worker --app MODULE"),
        ("shop.tasks", "To run the tasks of a module: asynctasq worker --app shop.tasks"),
        ("shop:app", "To run the tasks of a module: asynctasq worker --app shop:app"),
        ("purge default", "asynctasq queues purge QUEUE"),
        ("inspect active", "asynctasq queues, asynctasq tasks or asynctasq workers"),
        ("beat", "Periodic tasks are not available yet."),
        ("worker tasks", "asynctasq worker --app tasks"),
        ("worker shop/tasks.py", "asynctasq worker --app shop.tasks"),
        ("worker start", "asynctasq worker --app MODULE"),
        ("worker -A tasks", "Did you mean '--app'?"),
        ("workers start", "To start one: asynctasq worker --app MODULE"),
        ("workers stpo", "Did you mean 'stop'?"),
        ("shutdown", "To stop workers: asynctasq workers stop ID."),
        ("-A tasks worker", "Options follow the command: asynctasq worker --app ..."),
        ("--app tasks worker", "Options follow the command: asynctasq worker --app ..."),
    ],
)
def test_commands_of_other_task_queues_get_a_hint(typed: str, hint: str) -> None:
    result = CliRunner().invoke(main, typed.split(), prog_name="asynctasq")
    assert result.exit_code == 2
    assert hint in result.stderr


def test_help_imports_no_built_in_command(commands: click.Command) -> None:
    result = CliRunner().invoke(commands, ["--help"])
    assert result.exit_code == 0
    assert "greet  To greet." in result.output
    assert "some_commands" not in sys.modules


def test_every_built_in_command_is_listed() -> None:
    result = CliRunner().invoke(main, ["--help"])
    for name in ("worker", "demo", "plugins", "migrate", "publish"):
        assert f"\n  {name} " in result.output


def test_a_command_runs_without_importing_plugins(site: Site, commands: click.Command) -> None:
    install_hooks(site)
    result = CliRunner().invoke(commands, ["greet"])
    assert (result.exit_code, result.output) == (0, "hello\n")
    assert "shelf_hooks" not in sys.modules


def test_an_error_of_asynctasq_is_one_clear_line(commands: click.Command) -> None:
    result = CliRunner().invoke(commands, ["fail"])
    assert (result.exit_code, result.output) == (1, "Error: concurency: unknown setting\n")


@pytest.mark.parametrize("arguments, value", [(["--debug", "fail"], ""), (["fail"], "1")])
def test_debugging_shows_the_traceback(
    commands: click.Command, arguments: list[str], value: str
) -> None:
    result = CliRunner().invoke(commands, arguments, env={"ASYNCTASQ_DEBUG": value})
    assert type(result.exception).__name__ == "ConfigurationError"


def test_a_bug_is_not_dressed_up(commands: click.Command) -> None:
    assert isinstance(CliRunner().invoke(commands, ["crash"]).exception, ZeroDivisionError)


def test_an_unknown_command_suggests_the_nearest(site: Site, commands: click.Command) -> None:
    install_hooks(site)
    for typed, meant in [("greeet", "greet"), ("stocktak", "stocktake")]:
        result = CliRunner().invoke(commands, [typed])
        assert result.exit_code == 2
        assert f"No such command {typed!r}. Did you mean {meant!r}?" in result.output


def test_an_unknown_option_is_a_usage_error(commands: click.Command) -> None:
    result = CliRunner().invoke(commands, ["--nothing"])
    assert result.exit_code == 2
    assert "--nothing" in result.output


def test_plugins_add_commands(site: Site) -> None:
    install_hooks(site)
    assert CliRunner().invoke(main, ["stocktake"]).output == "3 books\n"
    assert re.search(
        r"stocktake +Count what is on the shelf\.", CliRunner().invoke(main, ["--help"]).output
    )


def test_commands_of_plugins_take_the_options_of_built_in_ones(site: Site, tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs/how-to/own-plugin.md"
    [source] = re.findall(
        r"```python title=\"asynctasq_backlog.py\"\n(.*?)```", page.read_text(), re.DOTALL
    )
    install_hooks(site, source, "backlog")
    missing = CliRunner().invoke(main, ["backlog", "--driver", f"sqlite:///{tmp_path}/none.db"])
    assert missing.exit_code == ExitCode.UNAVAILABLE
    assert "There is no store" in missing.stderr

    async def send() -> None:
        async with App({"driver": url}) as app:
            await (await app.driver()).enqueue([Message(new_id(), "emails", "some:task", b"")])

    url = f"sqlite:///{tmp_path}/queue.db"
    asyncio.run(send())
    shown = CliRunner().invoke(main, ["backlog", "--driver", url])
    assert (shown.exit_code, shown.output) == (0, "emails: 1\n")
    document = CliRunner().invoke(main, ["backlog", "--driver", url, "--json"])
    assert json.loads(document.output) == {"emails": 1}
    help_text = CliRunner().invoke(main, ["backlog", "--help"]).output
    assert all(option in help_text for option in ("--app", "--driver", "--json", "--wide"))


def test_a_disabled_plugin_adds_no_commands(site: Site) -> None:
    install_hooks(site)
    result = CliRunner().invoke(
        main, ["stocktake"], env={"ASYNCTASQ_DISABLE_PLUGINS": "hook:shelf"}
    )
    assert result.exit_code == 2
    assert "shelf_hooks" not in sys.modules


@pytest.mark.parametrize(
    "source, problem",
    [
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
        (
            HOOKS.replace("@cli.command()", "1 / 0\n\n        @cli.command()"),
            "register_commands raised ZeroDivisionError",
        ),
        (HOOKS.replace("(cli)", "(group)"), "must take only cli, got the parameter 'group'"),
        (
            HOOKS.replace("def stocktake", "def worker"),
            "adds a command 'worker', which already exists",
        ),
    ],
)
def test_a_broken_plugin_only_warns(site: Site, source: str, problem: str) -> None:
    install_hooks(site, source, "bad")
    install_hooks(site, HOOKS, "good")
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert "Warning: The hook plugin 'bad' of oak-bad 1.0" in result.stderr
    assert problem in result.stderr
    assert result.stdout.count("stocktake") == 1
    assert result.stdout.count("  worker ") == 1
    assert CliRunner().invoke(main, ["plugins", "list"]).stderr == ""


def test_plugins_are_asked_once_per_run(site: Site) -> None:
    install_hooks(site, "1 / 0", "bad")
    result = CliRunner().invoke(main, ["nothing-like-this"])
    assert result.stderr.count("Warning:") == 1


def test_debugging_shows_where_a_plugin_breaks(site: Site) -> None:
    install_hooks(site, "1 / 0", "bad")
    result = CliRunner().invoke(main, ["--debug", "nothing-like-this"])
    assert "Traceback" in result.stderr
    assert "bad_hooks.py" in result.stderr
