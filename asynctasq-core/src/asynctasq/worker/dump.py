"""A dump of a worker's running tasks with their stacks, on SIGUSR1.

A separate thread receives signals, so the dump works while the main thread is blocked, in Python or in a
call that waits. Only code that holds the interpreter lock delays the dump.
"""

import asyncio
import inspect
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from asynctasq.message import id_to_text
from asynctasq.worker.in_flight import InFlightMessage
from asynctasq.worker.process.signal_tap import signal_tap

logger = logging.getLogger("asynctasq")

OWN_FOLDERS = tuple(
    str(Path(__file__).parent.parent / folder) + os.sep for folder in ("worker", "executors")
)
"""Folders of frames that lead to the task's code, but do not belong to it."""


@contextmanager
def dumps_on_signal(held: Callable[[], Sequence[InFlightMessage]]) -> Iterator[None]:
    """Log a dump at each SIGUSR1 while entered. Does nothing where that signal does not exist.

    Args:
        held: gives the messages that the worker holds, in one atomic step; called from another thread.
    """
    number = getattr(signal, "SIGUSR1", None)
    if number is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def look(received: int) -> None:
        if received != number:
            return
        dumping = threading.Thread(
            target=_log_dump, args=(held,), name="asynctasq-dump", daemon=True
        )
        try:
            dumping.start()
        except RuntimeError as error:
            logger.warning("Received SIGUSR1, but could not dump this worker: %s", error)

    with signal_tap.passed_to(look):
        former = signal.signal(number, _do_nothing)
        try:
            yield
        finally:
            signal.signal(number, former)


def _do_nothing(_: int, __: object) -> None:
    """Handle a signal: without a handler, Python would not pass it to the tap."""


def _log_dump(held: Callable[[], Sequence[InFlightMessage]]) -> None:
    try:
        logger.warning("Received SIGUSR1; dump of this worker:\n%s", dump(held()))
    except Exception:
        logger.exception("Dumping this worker failed")


def dump(held: Sequence[InFlightMessage]) -> str:
    """Describe the running tasks with their stacks, without arguments."""
    now = time.monotonic()
    running = sorted((each for each in held if each.started_at), key=lambda each: each.started_at)
    parts = [f"Running tasks: {len(running)}, other messages held: {len(held) - len(running)}\n"]
    for each in running:
        message = each.delivery.message
        parts.append(
            f"\nTask {id_to_text(message.id)} of {message.task}, queue {message.queue}, attempt "
            f"{each.delivery.attempt}, for {max(0.0, now - each.started_at):.1f} s"
            f"{f', interrupted ({each.interrupt.value})' if each.interrupt else ''}:\n"
        )
        parts.extend(stack_of(each.task))
    frames = sys._current_frames()
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        if thread is not threading.current_thread() and frame is not None:
            parts.append(f"\nThread {thread.name}:\n")
            parts.extend(traceback.format_stack(frame))
    children = child_processes(os.getpid())
    if children:
        parts.append("\nChild processes:\n")
        parts.extend(f"  {pid} ({state}): {command}\n" for pid, state, command in children)
    return "".join(parts).rstrip()


def child_processes(pid: int) -> list[tuple[int, str, str]]:
    """Return process ID, state and command of each child; none where the system does not show them."""
    found: list[tuple[int, str, str]] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids = [int(each) for each in listing.read_text().split()]
        except OSError:
            continue
        for child in pids:
            try:
                state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
                name = Path(f"/proc/{child}/comm").read_text().strip()
            except OSError:
                continue
            found.append((child, STATES.get(state, state), name))
    return sorted(found)


STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "waiting for a disk",
    "Z": "ended",
    "T": "stopped",
    "t": "being traced",
    "I": "idle",
}


def stack_of(task: "asyncio.Task[Any] | None") -> list[str]:
    """Format the stack of a task: from its own code inwards, as far as coroutines await each other."""
    if task is None or task.done():
        return ["  (has just ended)\n"]
    frames = list(_frames_of(task.get_coro()))
    while len(frames) > 1 and frames[0].f_code.co_filename.startswith(OWN_FOLDERS):
        del frames[0]
    if not frames:
        return ["  (is running Python code now)\n"]
    summary = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in frames)
    return summary.format()


def _frames_of(awaited: Any) -> Iterator[FrameType]:
    while awaited is not None:
        if inspect.iscoroutine(awaited):
            frame, awaited = awaited.cr_frame, awaited.cr_await
        elif inspect.isgenerator(awaited):
            frame, awaited = awaited.gi_frame, awaited.gi_yieldfrom
        elif inspect.isasyncgen(awaited):
            frame, awaited = awaited.ag_frame, awaited.ag_await
        else:
            return
        if frame is not None:
            yield frame
