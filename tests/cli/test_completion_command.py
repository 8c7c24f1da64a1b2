"""`asynctasq completion`."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import Result

from asynctasq import App
from asynctasq.cli import main
from tests.cli.stores import with_store
from tests.operations.staging import enqueue, message

Invoke = Callable[..., Result]


async def two_queues(app: App) -> None:
    await enqueue(app, message(app, queue="mail"), message(app, queue="orders"))


def completions(*words: str) -> list[str]:
    """Return the completions of the last word."""
    completer = ShellComplete(main, {}, "asynctasq", "_ASYNCTASQ_COMPLETE")
    return [item.value for item in completer.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed(invoke: Invoke, shell: str) -> None:
    done = invoke("completion", shell)
    assert done.exit_code == 0
    assert f"_ASYNCTASQ_COMPLETE={shell}_complete" in done.stdout


def test_bash_can_parse_the_script(invoke: Invoke) -> None:
    script = invoke("completion", "bash").stdout
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_the_script_is_installed_where_the_shell_looks(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", "/bin/bash")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    done = invoke("completion", "--install")
    script = tmp_path / "data/bash-completion/completions/asynctasq"
    assert str(script) in done.stdout
    assert script.read_text() == invoke("completion", "bash").stdout


def test_an_unknown_shell_must_be_named(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/nonsense")
    done = invoke("completion")
    assert done.exit_code == 2
    assert "bash, zsh, fish" in done.stderr


def test_commands_and_options_are_completed(invoke: Invoke) -> None:
    assert "queues" in completions("que")
    assert completions("queues", "p") == ["pause", "purge"]
    assert "--queue" in completions("tasks", "--q")
    assert "dead" in completions("tasks", "list", "--state", "")
    assert completions("dead", "list", "--driver", "sq") == ["sqlite", "sqs"]


def test_themes_and_drivers_are_completed_where_a_driver_is_checked() -> None:
    assert completions("drivers", "check", "--only", "l") == ["lifetime", "lease", "listings"]
    assert "memory" in completions("drivers", "check", "m")


def test_names_of_queues_are_completed(invoke: Invoke) -> None:
    assert completions("queues", "pause", "") == []
    assert not list(Path().iterdir())
    with_store(two_queues)
    assert completions("queues", "pause", "") == ["mail", "orders"]
    assert completions("tasks", "list", "--queue", "o") == ["orders"]
    assert completions("queues", "--driver", "nonsense", "pause", "") == []
