"""Runs commands as forks of one interpreter that has imported asynctasq: they start in milliseconds.

Reads a JSON object a line. `{"argv", "folder", "output"}` starts a command and is answered with
`{"pid"}`; `{"wait": pid}` is answered with `{"code"}` when that one has ended; with `"now"`, at once, and
with `{}` if it goes on. `{"import": module}` makes forks start quicker that need this module.
"""

import atexit
import gc
import importlib
import inspect
import io
import json
import os
import runpy
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

PRELOADED = (
    "asynctasq.cli.worker",
    "asynctasq.cli.workers",
    "asynctasq.drivers.memory.plugin",
    "asynctasq.drivers.sqlite.driver",
    "asynctasq.executors.loop_plugin",
    "asynctasq.executors.process.executor",
    "asynctasq.executors.thread_plugin",
    "asynctasq.serializers.msgpack_plugin",
    "pydantic.type_adapter",
    "rich.table",
    "uvloop",
)
"""Modules that nearly every command needs, and that start neither threads nor loops."""
PYTEST_OPTIONS = (
    "-p no:randomly -p no:xdist -p no:cacheprovider -o asyncio_default_fixture_loop_scope=function"
    " -W ignore::pytest.PytestAssertRewriteWarning"
)
"""As it is where nothing else is installed, or imported already."""


def serve() -> Callable[[], None] | None:
    """Answer requests until there are no more. In a fork, return the function to run."""
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        answer: dict[str, int]
        if "import" in request:
            importlib.import_module(request["import"])
            gc.freeze()
            answer = {}
        elif "wait" in request:
            flags = os.WNOHANG if "now" in request else 0
            ended, status = os.waitpid(request["wait"], flags)
            answer = {"code": os.waitstatus_to_exitcode(status)} if ended else {}
        else:
            pid = os.fork()
            if pid == 0:
                return lambda: run(request["argv"], request["folder"], request["output"])
            answer = {"pid": pid}
        print(json.dumps(answer), flush=True)
    return None


def run(argv: Sequence[str], folder: str, output: str) -> None:
    """Become that command: in a new process group, in that folder, writing to that file."""
    os.setpgid(0, 0)
    os.chdir(folder)
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(written, 1)
    os.dup2(written, 2)
    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=True)  # as on a screen
    program, *arguments = argv
    sys.argv = [program, *arguments]
    sys.path[0] = folder
    if program == "asynctasq":
        from asynctasq.cli import main

        main(arguments, prog_name="asynctasq")
    elif program == "pytest":
        warnings.resetwarnings()
        os.environ["PYTEST_ADDOPTS"] = PYTEST_OPTIONS
        runpy.run_module("pytest", run_name="__main__")
    elif program == "fragment":
        run_fragment(Path(arguments[0]))
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


def run_fragment(file: Path) -> None:
    """Run a part of a program: `await` may stand outside of functions, and asynctasq is imported."""
    import ast

    import asynctasq

    module = sys.modules["__main__"] = ModuleType("__main__")
    module.__file__ = str(file)
    vars(module)["asynctasq"] = asynctasq
    code = compile(file.read_text(), file, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    waiting = eval(code, vars(module))
    if inspect.iscoroutine(waiting):
        asynctasq.run(waiting)


def end(code: int) -> NoReturn:
    """End as an interpreter does, but leave to the system what was there before the fork.

    To take apart the modules that all forks share costs several times what most commands do.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # what an interpreter does first at its end
    atexit._run_exitfuncs()
    gc.collect()  # warns about resources that were left open
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def code_of(act: Callable[[], None]) -> int:
    """Return the exit code of a script that does this."""
    try:
        act()
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException as error:  # noqa: BLE001  as the interpreter does
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0


if __name__ == "__main__":
    for name in PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    print("{}", flush=True)
    act = serve()
    if act is not None:
        end(code_of(act))
