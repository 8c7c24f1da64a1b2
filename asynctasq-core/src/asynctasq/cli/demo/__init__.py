"""`asynctasq demo`: run tasks in a worker process, and kill it."""

import asyncio
import shutil
import sys
from pathlib import Path
from time import perf_counter

import click
from rich.console import Console

from asynctasq import __version__
from asynctasq.app import App
from asynctasq.cli.demo.recording import check_writable, recording_console, save
from asynctasq.cli.demo.workspace import COMMAND, DemoFailed, Workspace
from asynctasq.cli.exit_codes import ExitCode, exit_code_help
from asynctasq.cli.operator_commands import OperatorCommand
from asynctasq.default import run
from asynctasq.errors import AsynctasqError

LIMIT_SECONDS = 90.0
WIDTH = 110
"""Line width in files and pipes."""


@click.command(
    cls=OperatorCommand, epilog=exit_code_help(ExitCode.INTERRUPTED, failed="a step failed")
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Work in this new or empty folder.  [default: a temporary folder, which is kept]",
)
@click.option(
    "--svg",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False, resolve_path=True),
    hidden=True,
    help="Write a recording to this file, such as docs/assets/demo.svg.",
)
def command(folder: Path | None, picture: Path | None) -> None:
    """Watch tasks run, fail, retry and survive a killed worker. Takes about ten seconds."""
    if picture is not None:
        check_writable(picture)
    console = recording_console() if picture else Console(highlight=False, markup=False)
    if not console.is_terminal and not picture:
        console.width = WIDTH
    workspace = Workspace(folder)
    workspace.enter()
    if not run(_run(workspace, console)):
        sys.exit(1)
    if picture is not None:
        save(console, picture)
    _print_next_steps(workspace, console)


async def _run(workspace: Workspace, console: Console) -> bool:
    """Run all steps; return False if one failed."""
    console.print(f"\nasynctasq {__version__}", style="bold cyan")
    console.print(f"Folder: {workspace.folder}\nTasks:  tasks.py\nStore:  asynctasq.db (SQLite)\n")
    settings = {"driver": "sqlite", "sqlite": {"path": str(workspace.store)}}
    try:
        async with asyncio.timeout(LIMIT_SECONDS), App(settings) as app:
            await _run_steps(app, workspace, console)
    except TimeoutError:
        error = f"The demo did not finish within {LIMIT_SECONDS:g} s."
    except (DemoFailed, AsynctasqError) as failure:
        error = str(failure)
    else:
        return True
    finally:
        await workspace.stop_worker()
    console.print(f"Failed: {error}\n\nLast lines of {workspace.log}:", style="bold red")
    console.print("\n".join(workspace.last_log_lines()), style="dim")
    return False


async def _run_steps(app: App, workspace: Workspace, console: Console) -> None:
    from asynctasq.cli.demo.steps import Steps  # imports `tasks` from the folder

    started = perf_counter()
    steps = Steps(app, workspace)
    await steps.dispatch()
    seconds = perf_counter() - started
    console.print(f"Dispatched {steps.dispatched} tasks in {seconds:.2f} s")
    pid = await workspace.start_worker()
    console.print(f"Started a worker (PID {pid}): asynctasq {' '.join(COMMAND)}\n")
    check = "✓" if console.encoding.startswith("utf") else "ok"
    for title, step in (
        ("Results", steps.results),
        ("Progress", steps.progress),
        ("Retry", steps.retry),
        ("Dead letter", steps.dead_letter),
        ("Killed worker", steps.killed_worker),
    ):
        with console.status(title) as status:
            show = status.update
            if step == steps.killed_worker:
                outcome = await step(show)
            else:
                outcome = await workspace.while_worker_runs(step(show))
        console.print(f"{check} ", style="bold green", end="")
        console.print(f"{title:<14}", style="bold", end="")
        console.print(outcome)
    unfinished, dead = await steps.left()
    code = await workspace.stop_worker()
    if (unfinished, dead, code) != (0, 1, 0):
        raise DemoFailed(f"{unfinished} unfinished, {dead} dead; the worker exited with {code}.")
    console.print(
        f"\n{steps.dispatched} tasks dispatched, {steps.dispatched - 1} completed, 1 dead letter, 0 lost "
        f"({perf_counter() - started:.1f} s)",
        style="bold",
    )


def _print_next_steps(workspace: Workspace, console: Console) -> None:
    python = Path(sys.executable)
    program = python.with_name("asynctasq")
    if shutil.which("asynctasq") == str(program):
        program = Path(program.name)
    console.print("\nTry it yourself. The demo folder is kept:", style="bold cyan")
    for line in (
        f"cd {workspace.folder}",
        f"{program} dead",
        f"{program} worker --app tasks",
        f"{python} tasks.py    # in another terminal",
    ):
        console.print(f"   {line}", soft_wrap=True)
