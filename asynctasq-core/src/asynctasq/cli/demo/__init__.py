"""`asynctasq demo`: tasks of every kind, run by worker processes, one of which is killed."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import click

from asynctasq import __version__
from asynctasq.app import App
from asynctasq.cli.demo.recording import recording_console, save
from asynctasq.cli.demo.screen import Mark, Row, Screen
from asynctasq.cli.demo.stage import Stage, Unexpected
from asynctasq.cli.exit_codes import told
from asynctasq.default import run
from asynctasq.errors import AsynctasqError, ConfigurationError

LIMIT_SECONDS = 90.0


@click.command(epilog=told(done="everything came out as promised", failed="something did not"))
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to play: a new or empty folder.  [default: a temporary one, which is kept]",
)
@click.option(
    "--svg",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False, resolve_path=True),
    hidden=True,
    help="Write a recording into this file: docs/assets/demo.svg is one.",
)
def command(folder: Path | None, picture: Path | None) -> None:
    """See tasks dispatched, run, retried and failed, and a worker killed. Takes about ten seconds."""
    console = None if picture is None else recording_console()
    screen = Screen(console)
    stage = Stage(_made(folder))
    stage.build()
    if not run(_perform(stage, screen)):
        sys.exit(1)
    if console is not None and picture is not None:
        save(console, picture)
    _invite(stage, screen)


def _made(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="asynctasq-demo-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = next(folder.iterdir(), None)
    except OSError as error:
        raise ConfigurationError(f"--folder {folder}: {error.strerror}.") from error
    if occupied is not None:
        raise ConfigurationError(f"--folder {folder}: it is not empty (there is {occupied.name}).")
    return folder.resolve()


async def _perform(stage: Stage, screen: Screen) -> bool:
    """Play everything; whether it came out as promised."""
    screen.heading(f"asynctasq {__version__}: a task queue in one file")
    screen.facts(
        [
            ("folder", f"{stage.folder} (kept)"),
            ("tasks", "tasks.py, which the worker imports"),
            ("store", f"{stage.store.name}, an SQLite file: durable, nothing to install"),
        ]
    )
    try:
        async with (
            asyncio.timeout(LIMIT_SECONDS),
            App({"driver": "sqlite", "sqlite": {"path": str(stage.store)}}) as app,
        ):
            fulfilled = await _play(app, stage, screen)
    except TimeoutError:
        screen.line(f"It did not end within {LIMIT_SECONDS:g} s.", "bold red")
        fulfilled = False
    finally:
        await stage.stop_worker()
    if not fulfilled:
        screen.heading(f"The end of {stage.log}:")
        for line in stage.last_lines():
            screen.line(line, "dim")
    return fulfilled


async def _play(app: App, stage: Stage, screen: Screen) -> bool:
    from asynctasq.cli.demo.scenes import Play, show_letter  # needs the folder that `build` made

    began = perf_counter()
    play = Play(app, stage.folder)
    watches = [(title, await begin()) for title, begin in play.scenes]
    took = perf_counter() - began
    screen.heading(f"{play.dispatched} tasks were dispatched in {took:.2f} s, and wait in the file")

    process = await stage.start_worker()
    screen.heading(f"A worker begins: process {process}, `asynctasq worker --app tasks`")
    board = screen.board([title for title, _ in watches])
    with board.shown():
        ends = asyncio.gather(
            *(_end(row, watch) for row, (_, watch) in zip(board.rows, watches, strict=True))
        )
        if not all(await _unless_worker_ends(stage, ends)):
            return False
    show_letter(screen, await play.dead_letter())

    screen.heading("The worker is killed in the middle of its work")
    board = screen.board(["nothing is lost"])
    with board.shown():
        if not await _end(board.rows[0], lambda row: play.killed(stage, row)):
            return False
    waiting, dead = await play.left()
    code = await stage.stop_worker()
    screen.heading("In all")
    screen.summary(
        [
            ("dispatched", str(play.dispatched)),
            ("completed", str(play.dispatched - waiting - dead)),
            ("dead letters", str(dead)),
            ("left over", str(waiting)),
            ("workers killed", "1"),
            ("seconds", f"{perf_counter() - began:.1f}"),
        ]
    )
    if waiting or dead != 1 or code != 0:
        screen.line(f"That is not as promised; the worker ended with {code}.", "bold red")
        return False
    return True


async def _end(row: Row, watch: Callable[[Row], Awaitable[str]]) -> bool:
    """Follow a scene to its end; whether it ended as promised."""
    try:
        row.end(Mark.DONE, await watch(row))
    except (Unexpected, AsynctasqError) as error:
        row.end(Mark.FAILED, f"{type(error).__name__}: {error}")
        return False
    return True


async def _unless_worker_ends(stage: Stage, ends: "asyncio.Future[list[bool]]") -> list[bool]:
    """What scenes come to, unless nobody plays them any more.

    Raises:
        Unexpected: the worker has ended by itself.
    """
    ended = asyncio.ensure_future(stage.worker_ended())
    both: list[asyncio.Future[Any]] = [ends, ended]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not ends.done():
            ends.cancel()
            await ended
        return await ends
    finally:
        ended.cancel()


def _invite(stage: Stage, screen: Screen) -> None:
    python = Path(sys.executable)
    program = python.with_name("asynctasq")
    if shutil.which("asynctasq") == str(program):
        program = Path(program.name)
    screen.heading("Now you: everything is still there")
    for command_line in [
        f"cd {stage.folder}",
        f"{program} worker --app tasks",
        f"{python} tasks.py    # in another terminal",
    ]:
        screen.line(f"   {command_line}")
