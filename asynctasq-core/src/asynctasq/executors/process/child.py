"""One child process, as the worker sees it."""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, cast

from asynctasq.errors import ConfigurationError
from asynctasq.executors.process.frames import (
    BROKEN,
    CANCEL,
    CONNECTION_LOST_EXIT,
    LARGE,
    READY,
    Frame,
    pack,
    unpack,
    unpacker,
)
from asynctasq.executors.process.settings import ProcessSettings
from asynctasq.executors.process.work_item import WorkItem

logger = logging.getLogger("asynctasq")

DATAGRAM_BYTES = 2**17
SMALL_BYTES = 2**15
"""Orders up to this size go as datagrams."""
ENDING_SECONDS = 0.5
"""How long a process may outlive its stream, and its stream the process."""
DISMISSED_SECONDS = 5.0
"""How long a process that is not needed any more may take to end."""
START_SECONDS = 120.0
"""How long a child may take to import the application."""

_COMMAND = """\
import json, sys
sys.path[:] = json.loads(sys.argv.pop())
from asynctasq.executors.process.main import main
main(int(sys.argv.pop()), int(sys.argv.pop()))
"""


class ChildProcess(asyncio.Protocol):
    """Starts a process, gives it work items, hears its replies, and sees it end.

    A work item that the process has not begun lies in the datagram socket, of which this side holds both
    ends: it can be taken back at any time, and whatever cannot be has been begun.
    """

    def __init__(
        self,
        *,
        replied: "Callable[[ChildProcess, Frame], None]",
        ended: "Callable[[ChildProcess], None]",
    ) -> None:
        """Make one; `start` starts it.

        Args:
            replied: told of each reply about a work item or its progress.
            ended: told once, when the process is gone and everything it wrote is read.
        """
        self._replied = replied
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._frames = unpacker()
        self._transport: asyncio.Transport | None = None
        self._stream_lost = False
        self._exit: int | None = None
        self._starting: asyncio.TimerHandle | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._killed_because = ""
        self._watch: Callable[[], None] = _nothing
        self.gone = False
        self.over = asyncio.Event()
        """Set when it is gone, and everybody has been told."""
        self.ready: asyncio.Future[bool] = self._loop.create_future()
        """True when it can take work items; False if it has ended before that."""
        self.problem = ""
        """What went wrong at its start, as it told."""
        self.sent: deque[WorkItem] = deque()
        """Given to it and not replied to; the first is running or about to."""
        self.retiring = False
        """Takes nothing more."""
        self.remembers: set[int] = set()
        """Work items whose failed tasks it keeps until their `failed` hook has run."""

    async def start(self, settings: ProcessSettings, folder: str | None) -> None:
        """Start the process; it is not ready yet.

        Args:
            settings: what it is told.
            folder: where it is to start, and relative paths in `sys.path` begin.

        Raises:
            OSError: the system cannot.
        """
        with ExitStack() as undo:
            orders, self._orders_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            undo.callback(orders.close)
            undo.callback(self._orders_end.close)
            stream, stream_end = socket.socketpair()
            undo.callback(stream.close)
            self._orders, self._stream = orders, stream
            for each in (orders, self._orders_end):
                each.setblocking(False)
                each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * DATAGRAM_BYTES)
            with stream_end:
                # In this thread: a child is killed with the thread that started it.
                self._process = subprocess.Popen(  # noqa: ASYNC220, S603  takes a millisecond; our own program
                    _command(self._orders_end.fileno(), stream_end.fileno(), folder),
                    pass_fds=(self._orders_end.fileno(), stream_end.fileno()),
                    stdin=subprocess.DEVNULL,
                    cwd=folder,
                )
            undo.callback(self._give_up)
            self._watch = self._watch_exit()
            await self._loop.create_unix_connection(lambda: self, sock=stream)
            undo.pop_all()
        self._starting = self._loop.call_later(
            START_SECONDS, self.kill, f"was not ready after {START_SECONDS:g} s"
        )
        plan = pack([_plan(settings)])
        self._write(len(plan).to_bytes(4) + plan)

    def _give_up(self) -> None:
        """End a process that was started in vain."""
        self._watch()
        self._watch = _nothing
        self.gone = True
        if self._transport is not None:
            self._transport.abort()
        self._process.kill()
        self._process.wait()
        if not self.ready.done():
            self.ready.set_result(False)
        self.over.set()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def is_usable(self) -> bool:
        """Whether it can take work items."""
        return (
            not self.gone
            and not self.retiring
            and not self._stream_lost
            and self.ready.done()
            and self.ready.result()
        )

    def give(self, item: WorkItem) -> bool:
        """Give it a work item, to be done after those it has; False if there is no room."""
        order = item.order
        large = len(order) > SMALL_BYTES
        try:
            self._orders.send(pack([LARGE, item.number]) if large else order)
        except BlockingIOError:
            return False
        if large:
            self._write(b"".join((_LARGE_HEAD, pack_number(item.number), order)))
        item.child = self
        self.sent.append(item)
        return True

    def take_back(self) -> list[WorkItem]:
        """Those that it has not begun, in order; it does not have them any more."""
        numbers: set[int] = set()
        with suppress(BlockingIOError):
            while True:
                numbers.add(unpack(self._orders_end.recv(DATAGRAM_BYTES))[1])
        taken = [item for item in self.sent if item.number in numbers]
        for item in taken:
            self.sent.remove(item)
            if len(item.order) > SMALL_BYTES:
                self.cancel(item)
            item.child = None
        return taken

    def cancel(self, item: WorkItem) -> None:
        """Let the process cancel a coroutine."""
        self._write(pack([CANCEL, item.number]))

    def kill(self, because: str = "") -> None:
        """End the process at once."""
        if self._exit is None and not self.gone:
            self._killed_because = self._killed_because or because
            with suppress(ProcessLookupError):
                self._process.kill()

    def dismiss(self) -> None:
        """Let the process end by itself."""
        self.retiring = True
        if self._transport is not None and not self._stream_lost:
            with suppress(OSError):  # not connected any more
                # Closing it is not enough: processes that tasks have forked hold it, too.
                self._stream.shutdown(socket.SHUT_RDWR)
            self._transport.close()

    def why_not_ready(self) -> str:
        """Say why it never became ready, to follow "a child process"."""
        if self._exit is None and not self._killed_because:
            return "could not be started"
        return f"{self.how_it_ended()} while it started"

    def how_it_ended(self) -> str:
        """In words."""
        code = self._exit
        if code is None or self._killed_because:
            return self._killed_because or "was given up"
        if code == CONNECTION_LOST_EXIT:
            return "lost its connection to the worker (has the task closed file descriptors?)"
        if code >= 0:
            return f"ended with exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = " (out of memory, perhaps)" if name == "SIGKILL" else ""
        return f"was killed by {name}{hint}"

    # Told by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The stream stands."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Some replies, or parts of one."""
        self._frames.feed(data)
        for frame in self._frames:
            if frame[1] == READY:
                _cancel(self._starting)
                self.ready.set_result(True)
            elif frame[1] == BROKEN:
                self.problem = frame[3]
            self._replied(self, frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """The process has ended, or it has closed what was not its own."""
        del exc  # the process tells more
        self._stream_lost = True
        if self._exit is None:
            self._ending = self._loop.call_later(
                DISMISSED_SECONDS if self.retiring or self.problem else ENDING_SECONDS,
                self.kill,
                "closed its connection to the worker and was killed",
            )
        else:
            self._end()

    def _exited(self) -> None:
        self._watch()
        self._exit = self._process.wait()
        if self._stream_lost:
            self._end()
        else:  # a process of the child's own may hold the stream open
            self._ending = self._loop.call_later(ENDING_SECONDS, self._end)

    def _end(self) -> None:
        if self.gone:
            return
        self.gone = True
        _cancel(self._starting)
        _cancel(self._ending)
        if self._transport is not None:
            self._transport.abort()
        if not self.ready.done():
            self.ready.set_result(False)
        self._ended(self)
        self._orders.close()
        self._orders_end.close()
        self.over.set()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._stream_lost:
            self._transport.write(data)

    def _watch_exit(self) -> Callable[[], None]:
        """Call `_exited` when the process has ended; returns how to let go."""
        try:
            fd = os.pidfd_open(self._process.pid)
        except (AttributeError, OSError):  # not on macOS
            threading.Thread(
                target=self._wait_in_thread, name=f"asynctasq-child-{self.pid}", daemon=True
            ).start()
            return _nothing
        self._loop.add_reader(fd, self._exited)

        def let_go() -> None:
            self._loop.remove_reader(fd)
            os.close(fd)

        return let_go

    def _wait_in_thread(self) -> None:
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        with suppress(RuntimeError):  # the loop was closed under us
            self._loop.call_soon_threadsafe(self._exited)


def check_platform() -> None:
    """Make sure that there can be children.

    Raises:
        ConfigurationError: there cannot.
    """
    if not sys.executable or not hasattr(socket, "AF_UNIX"):
        raise ConfigurationError(
            "Process tasks need a Python that is a program of its own, on Linux, macOS or another Unix."
        )


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _nothing() -> None:
    pass


_LARGE_HEAD = b"\x93" + bytes([LARGE])


def pack_number(number: int) -> bytes:
    """A number within a frame that is put together by hand."""
    return b"\xce" + number.to_bytes(4)


def _command(orders_fd: int, stream_fd: int, folder: str | None) -> list[str]:
    flags = [f"-{'O' * sys.flags.optimize}"] if sys.flags.optimize else []
    flags += [part for option in sys.warnoptions for part in ("-W", option)]
    if sys.flags.dev_mode:
        flags += ["-X", "dev"]
    path = json.dumps([str(Path(folder or "", each)) for each in sys.path])
    return [sys.executable, *flags, "-c", _COMMAND, str(stream_fd), str(orders_fd), path]


def present_folder() -> str | None:
    """The working folder of this process; None if it has been removed."""
    try:
        return str(Path.cwd())
    except OSError:
        return None


def _plan(settings: ProcessSettings) -> dict[str, Any]:
    return {
        "parent": os.getpid(),
        "bootstrap": settings.bootstrap,
        "arguments": settings.arguments,
        "initializer": settings.initializer,
        "loop": settings.loop,
        "max_tasks": settings.max_tasks_per_child,
        "max_memory": settings.max_memory,
    }
