"""Options, settings and imports of `asynctasq worker`."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.processes import asynctasq

pytestmark = pytest.mark.sampled(4)

Invoke = Callable[..., Result]

INIT = "import asynctasq\nasynctasq.init({'concurrency': 7, 'sqlite': {'path': 'init.db'}})\n"


def served(*arguments: str, **environment: str) -> str:
    """Return the start line of a burst worker without tasks."""
    done = asynctasq("worker", "--burst", *arguments, **environment)
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stderr.splitlines() if " started (" in line]
    return line


PRECEDENCE = [
    pytest.param([], {}, "", "", "concurrency=100", id="default"),
    pytest.param([], {}, "", "ASYNCTASQ_CONCURRENCY=9", "concurrency=9", id="dotenv"),
    pytest.param(
        [], {"ASYNCTASQ_CONCURRENCY": "8"}, "", "ASYNCTASQ_CONCURRENCY=9", "concurrency=8", id="env"
    ),
    pytest.param([], {"ASYNCTASQ_CONCURRENCY": "8"}, INIT, "", "concurrency=7", id="init"),
    pytest.param(
        ["--concurrency", "6"],
        {"ASYNCTASQ_CONCURRENCY": "8"},
        INIT,
        "",
        "concurrency=6",
        id="option",
    ),
    pytest.param([], {}, INIT, "", "init.db", id="driver-of-init"),
    pytest.param(["--driver", "sqlite:///option.db"], {}, INIT, "", "option.db", id="driver-url"),
    pytest.param(["--driver", "memory"], {}, INIT, "", "memory", id="driver-name"),
    pytest.param(
        ["--driver", "sqlite:///option.db"],
        {"ASYNCTASQ_DRIVER": "sqlite:///environment.db"},
        "",
        "",
        "option.db",
        id="driver-url-over-env",
    ),
]


@pytest.mark.parametrize(("arguments", "environment", "module", "dotenv", "expected"), PRECEDENCE)
def test_options_win_over_init_over_environment_over_dotenv(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    module: str,
    dotenv: str,
    expected: str,
    tmp_path: Path,
) -> None:
    (tmp_path / "project.py").write_text(module)
    (tmp_path / ".env").write_text(dotenv)
    assert expected in served("--app", "project", *arguments, **environment)


def test_the_setting_imports_names_modules_too(tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text(
        "import asynctasq\nasynctasq.init({'imports': ['second']})\n"
    )
    (tmp_path / "second.py").write_text(
        "from asynctasq import task\n@task\nasync def of_second() -> None: ...\n"
    )
    assert "second:of_second" in served(ASYNCTASQ_IMPORTS="first")


def test_the_setting_queues_may_have_limits(tmp_path: Path) -> None:
    assert "queues=letters,default" in served(ASYNCTASQ_QUEUES="letters:1,default")


def test_durations_reach_the_worker(tmp_path: Path) -> None:
    """Check the settings of a worker with a plugin of the application."""
    (tmp_path / "probe.py").write_text(
        """\
import json
import asynctasq
from asynctasq.default import default_app

class Probe:
    @asynctasq.hookimpl
    def worker_started(self, context):
        settings = default_app().settings
        print(json.dumps([settings.lease, settings.heartbeat_interval, settings.grace_period]))

asynctasq.init({"lease": 99}).plugins.register(Probe())
"""
    )
    options = ["--lease", "12", "--heartbeat-interval", "3", "--grace-period", "0"]
    done = asynctasq("worker", "--burst", "--app", "probe", *options)
    assert json.loads(done.stdout) == [12, 3, 0], done.stderr


def test_a_second_equal_init_while_the_worker_runs_does_nothing(tmp_path: Path) -> None:
    """Check a module that is imported by the name of a task and calls init() again."""
    (tmp_path / "late.py").write_text(
        """\
import asynctasq

asynctasq.init({"driver": "sqlite"})


@asynctasq.task
async def fine() -> None: ...


async def main() -> None:
    await fine.dispatch()


if __name__ == "__main__":
    asynctasq.run(main())
"""
    )
    subprocess.run([sys.executable, "late.py"], check=True, timeout=30)
    done = asynctasq("worker", "--burst", "--concurrency", "3", "--lease", "9")
    assert "late:fine completed" in done.stderr


BROKEN_MODULES = [
    pytest.param("raise ValueError('no luck')", ["broken.py, line 1", "ValueError: no luck"]),
    pytest.param("import surely_missing", ["No module named 'surely_missing'", "line 1"]),
    pytest.param("def f(:", ["SyntaxError", "broken.py, line 1"]),
    pytest.param("raise SystemExit(3)", ["SystemExit: 3"]),
    pytest.param(
        "import asynctasq\nasynctasq.init({'concurency': 1})", ["concurency", "concurrency"]
    ),
]


@pytest.mark.parametrize(("text", "parts"), BROKEN_MODULES)
def test_a_module_that_cannot_be_imported_is_named_with_the_cause(
    text: str, parts: Sequence[str], invoke: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text(text)
    done = invoke("worker", "--app", "broken")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    for part in ["--app: importing 'broken' failed", *parts]:
        assert part in done.stderr


def test_debug_shows_where_an_import_failed(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def deep():\n    raise ValueError('no luck')\ndeep()\n")
    done = asynctasq("--debug", "worker", "--app", "broken")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "in deep" in done.stderr


TARGETS = [
    pytest.param("projcet", ["no module 'projcet'", "Did you mean 'project'?"], id="misspelt"),
    pytest.param("project.py", ["--app project."], id="file"),
    pytest.param("a.py", ["--app a."], id="short"),
    pytest.param("./project.py:app", ["--app project:app"], id="path"),
    pytest.param(
        "project:missing", ["has no attribute 'missing'", "Did you mean project:app?"], id="missing"
    ),
    pytest.param(
        "project:number", ["'number' must be an asynctasq.App, got int", "project:app"], id="no-app"
    ),
    pytest.param("no/module !", ["MODULE:APP"], id="nonsense"),
    pytest.param(
        "",
        ["--app must be the name of a module, as in an import, or MODULE:APP; got ''."],
        id="empty",
    ),
    pytest.param(
        ".",
        ["--app must be the name of a module, as in an import, or MODULE:APP; got '.'."],
        id="folder",
    ),
    pytest.param(
        "..",
        ["--app must be the name of a module, as in an import, or MODULE:APP; got '..'."],
        id="parent",
    ),
    pytest.param(
        "/",
        ["--app must be the name of a module, as in an import, or MODULE:APP; got '/'."],
        id="root",
    ),
    pytest.param(
        ":x",
        ["--app must be the name of a module, as in an import, or MODULE:APP; got ':x'."],
        id="no-module",
    ),
    pytest.param("shop.a,shop.b:app", ["ASYNCTASQ_IMPORTS=shop.a,shop.b"], id="several"),
]


@pytest.mark.parametrize(("target", "parts"), TARGETS)
def test_an_invalid_app_is_an_error_with_a_hint(
    target: str, parts: Sequence[str], invoke: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "project.py").write_text("from asynctasq import App\napp = App()\nnumber = 1\n")
    done = invoke("worker", "--app", target)
    assert done.exit_code == 1
    for part in parts:
        assert part in done.stderr


@pytest.mark.parametrize("command", ["worker", "queues", "migrate"])
def test_only_one_app_is_taken(command: str, invoke: Invoke) -> None:
    done = invoke(command, "--app", "shop.a", "--app", "shop.b:app")
    assert done.exit_code == 2
    assert "ASYNCTASQ_IMPORTS=shop.a,shop.b" in done.stderr


def test_an_unused_app_gives_a_warning(tmp_path: Path) -> None:
    (tmp_path / "project.py").write_text("from asynctasq import App\nqueue = App()\n")
    done = asynctasq("worker", "--burst", "--app", "project")
    assert "--app project:queue" in done.stderr


WRONG_OPTIONS = [
    pytest.param(["--queues", "no spaces please"], 2, "must be 1 to 80 characters", id="queue"),
    pytest.param(["--queues", "a:many"], 2, "does not have a valid limit", id="limit"),
    pytest.param(["--queues", "a,b,a"], 2, "is listed more than once", id="twice"),
    pytest.param(["--queues", "a,,b"], 2, "must be 1 to 80 characters", id="empty"),
    pytest.param(["--concurrency", "0"], 2, "--concurrency", id="concurrency"),
    pytest.param(["--lease", "0"], 2, "--lease", id="lease"),
    pytest.param(["--lease", "1", "--heartbeat-interval", "2"], 1, "at most half", id="heartbeat"),
    pytest.param(["--driver", "radis"], 1, "'redis'", id="driver"),
    pytest.param(["--driver", "sqlite:///no/such/folder/x.db"], 1, "folder", id="store"),
    pytest.param(["--serializer", "xml", "--burst"], 1, "'xml'", id="serializer"),
    pytest.param(["--log-level", "loud"], 2, "--log-level", id="log-level"),
]


@pytest.mark.parametrize(("arguments", "code", "part"), WRONG_OPTIONS)
def test_a_wrong_option_is_an_error_before_anything_runs(
    arguments: Sequence[str], code: int, part: str, invoke: Invoke
) -> None:
    done = invoke("worker", *arguments)
    assert done.exit_code == code
    assert part in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["worker", "demo", "plugins", "migrate", "publish"])
def test_every_command_has_a_help_text(name: str, invoke: Invoke) -> None:
    done = invoke(name, "--help")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"Usage: asynctasq {name}")
