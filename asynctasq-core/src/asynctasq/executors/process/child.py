"""One child process, from the side of the worker."""

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
"""Longest time between the end of a process and the end of its stream."""
DISMISSED_SECONDS = 5.0
"""Longest time in which a process that is not needed any more must exit."""
START_SECONDS = 120.0
"""Longest time in which a child must import the application."""

_COMMAND = """\
import json, sys
sys.path[:] = json.loads(sys.argv.pop())
from asynctasq.executors.process.main import main
main(int(sys.argv.pop()), int(sys.argv.pop()))
"""


class ChildProcess(asyncio.Protocol):
    """Starts a process, sends it work items, receives its replies, and observes its exit.

    A work item that the process has not started is in the datagram socket, of which this side holds both
    ends. It can be taken back at any time. An item that cannot be taken back has been started.
    """

    def __init__(
        self,
        *,
        replied: "Callable[[ChildProcess, Frame], None]",
        ended: "Callable[[ChildProcess], None]",
    ) -> None:
        """Create the object; `start` starts the process.

        Args:
            replied: called with each reply about a work item or its progress.
            ended: called once, when the process has exited and its output has been read.
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
        """Set when the process has exited and the callbacks have run."""
        self.ready: asyncio.Future[bool] = self._loop.create_future()
        """True when the child can receive work items; False if it exited before."""
        self.problem = ""
        """Error of its start, as the process reported it."""
        self.sent: deque[WorkItem] = deque()
        """Work items that were sent and have no reply; the first is running or about to."""
        self.retiring = False
        """True if the child receives no more work items."""
        self.remembers: set[int] = set()
        """Numbers of work items whose failed tasks the child keeps until their `failed` hook has run."""

    async def start(self, settings: ProcessSettings, folder: str | None) -> None:
        """Start the process; it is not ready yet.

        Args:
            settings: settings of the executor.
            folder: working folder of the process, and base of relative paths in `sys.path`.

        Raises:
            OSError: the system cannot start it.
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
                # In this thread, because a child is killed with the thread that started it.
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
        """Kill a process whose start failed."""
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
        """The process ID."""
        return self._process.pid

    @property
    def is_usable(self) -> bool:
        """True if the child can receive work items."""
        return (
            not self.gone
            and not self.retiring
            and not self._stream_lost
            and self.ready.done()
            and self.ready.result()
        )

    def give(self, item: WorkItem) -> bool:
        """Send a work item, to be run after earlier ones; return False if the socket is full."""
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
        """Take back the work items that the process has not started, in order."""
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
        """Tell the process to cancel a coroutine."""
        self._write(pack([CANCEL, item.number]))

    def kill(self, because: str = "") -> None:
        """Kill the process."""
        if self._exit is None and not self.gone:
            self._killed_because = self._killed_because or because
            with suppress(ProcessLookupError):
                self._process.kill()

    def dismiss(self) -> None:
        """Let the process exit by itself."""
        self.retiring = True
        if self._transport is not None and not self._stream_lost:
            with suppress(OSError):  # not connected any more
                # Closing it is not enough, because processes that tasks forked hold it too.
                self._stream.shutdown(socket.SHUT_RDWR)
            self._transport.close()

    def why_not_ready(self) -> str:
        """Return why the child never became ready, as a predicate of "a child process"."""
        if self._exit is None and not self._killed_because:
            return "could not be started"
        return f"{self.how_it_ended()} while it started"

    def how_it_ended(self) -> str:
        """Return how the process exited, as a predicate."""
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

    # Callbacks of the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note that the stream is connected."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Receive replies, or parts of one."""
        self._frames.feed(data)
        for frame in self._frames:
            if frame[1] == READY:
                _cancel(self._starting)
                self.ready.set_result(True)
            elif frame[1] == BROKEN:
                self.problem = frame[3]
            self._replied(self, frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the process has exited, or that a task closed the stream."""
        del exc  # the exit of the process says more
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
        else:  # a process that a task started may hold the stream open
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
        """Call `_exited` when the process has ended; return a function that stops watching."""
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
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._exited)


def check_platform() -> None:
    """Check that this platform supports child processes.

    Raises:
        ConfigurationError: it does not.
    """
    if not sys.executable or not hasattr(socket, "AF_UNIX"):
        raise ConfigurationError(
            "Process tasks need a standalone Python interpreter on Linux, macOS or another Unix."
        )


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _nothing() -> None:
    pass


_LARGE_HEAD = b"\x93" + bytes([LARGE])


def pack_number(number: int) -> bytes:
    """Return a number as msgpack of fixed length, for frames that are not packed as a whole."""
    return b"\xce" + number.to_bytes(4)


def _command(orders_fd: int, stream_fd: int, folder: str | None) -> list[str]:
    flags = [f"-{'O' * sys.flags.optimize}"] if sys.flags.optimize else []
    flags += [part for option in sys.warnoptions for part in ("-W", option)]
    if sys.flags.dev_mode:
        flags += ["-X", "dev"]
    path = json.dumps([str(Path(folder or "", each)) for each in sys.path])
    return [sys.executable, *flags, "-c", _COMMAND, str(stream_fd), str(orders_fd), path]


def present_folder() -> str | None:
    """Return the working folder of this process; None if it has been removed."""
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
