"""The main program of a child process: it receives an order, runs it and replies, one at a time.

The event loop runs while an async task runs or no order is there. Sync tasks run in the main thread while
the loop is stopped, so that they can do what any script can: `asyncio.run`, `dispatch_sync`, signals.
"""

import asyncio
import contextvars
import ctypes
import importlib
import logging
import os
import resource
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from asynctasq.contracts.executor import Raised
from asynctasq.errors import BodyError, UnknownTask
from asynctasq.executors.forks import forks, forks_of_loop
from asynctasq.executors.process.child_application import ChildApplication, ChildCall
from asynctasq.executors.process.frames import (
    BROKEN,
    CANCEL,
    CANCELLED,
    CONNECTION_LOST_EXIT,
    FAILED,
    LARGE,
    PROGRESS,
    READY,
    REMEMBERED,
    RUN,
    SPENT,
    WAITING,
    Frame,
    Order,
    attempt_fields,
    pack,
    unfit_fields,
    unpack,
    unpack_order,
    unpacker,
)
from asynctasq.executors.process.runs import OrderRunner
from asynctasq.failures import error_info

DATAGRAM_BYTES = 2**17
READ_BYTES = 2**18
CLOSE_SECONDS = 2.0
_PR_SET_PDEATHSIG = 1


class ChildMain:
    """The main loop of a child process."""

    def __init__(
        self, orders: socket.socket, stream: socket.socket, plan: Mapping[str, Any]
    ) -> None:
        """Take over the sockets.

        Args:
            orders: socket of the datagrams from the worker.
            stream: socket of the stream to and from the worker.
            plan: settings from the worker; `ChildProcess.start` sends them.
        """
        self._orders = orders
        self._stream = stream
        self._frames = unpacker()
        self._writing = threading.Lock()
        self._loop = _new_loop(plan["loop"])
        self._runner = OrderRunner(self._loop)
        self._application: ChildApplication
        self._max_tasks: int | None = plan["max_tasks"]
        self._max_memory: int | None = plan["max_memory"]
        self._runs = 0
        self._large: dict[int, Frame] = {}
        self._arrival: asyncio.Future[None] | None = None
        self._running: tuple[int, ChildCall, asyncio.Task[Frame]] | None = None
        self._cancelled = 0
        self._alone = False
        """True if the worker has exited."""
        self._depth = forks.depth
        self._sigchld = signal.getsignal(signal.SIGCHLD)

    def start(self, plan: Mapping[str, Any]) -> None:
        """Import the application, and report that the child is ready."""
        self._application = _named(plan["bootstrap"])(plan["arguments"])
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._application.open())
        if plan["initializer"] is not None:
            _named(plan["initializer"])()
        self._loop.add_reader(self._stream.fileno(), self._read_stream)
        self.send([0, READY, 0])

    def work(self) -> None:
        """Run orders until the worker closes the stream."""
        order: tuple[Order, ChildCall] | None = None
        while not self._alone:
            order = self._receive()
            if order is None or order[1].definition.is_async:
                order = self._loop.run_until_complete(self._work_in_loop(order))
            if order is not None:
                contextvars.copy_context().run(self._run_here, *order)

    def close(self) -> None:
        """Release the resources of tasks."""

        async def close() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._application.close()

        self._loop.run_until_complete(close())
        self._loop.close()

    def send(self, frame: Frame) -> None:
        """Send a frame to the worker, from any thread."""
        if forks.depth != self._depth:
            forks.end()
        try:
            with self._writing:
                self._write_all(pack(frame))
        except OSError:
            # The worker has exited, or a task closed the stream: no reply can be sent.
            os._exit(CONNECTION_LOST_EXIT)

    def _write_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._stream.send(rest) :]
            except BlockingIOError:  # uvloop makes the sockets that it watches non-blocking
                select.select([], [self._stream], [])

    def _receive(self) -> tuple[Order, ChildCall] | None:
        """Return the next order that can run, and reply at once to orders that cannot."""
        while (frame := self._next_frame()) is not None:
            if frame[0] == LARGE:
                frame = self._await_large(frame[1])
            order = unpack_order(frame)
            try:
                return order, self._make_call(order)
            except (UnknownTask, BodyError) as error:
                self._reply(order, unfit_fields(error))
            except Exception as error:
                logging.getLogger("asynctasq").exception(
                    "Could not import %s in a child process", order.module
                )
                self._reply(order, attempt_fields(Raised(error_info(error), retry=True)))
        return None

    def _next_frame(self) -> Frame | None:
        try:
            return unpack(self._orders.recv(DATAGRAM_BYTES, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return None
        except OSError:
            os._exit(CONNECTION_LOST_EXIT)

    def _await_large(self, number: int) -> Frame:
        while number not in self._large:
            select.select([self._stream], [], [])
            self._read_stream()
            if self._alone:
                os._exit(0)
        return self._large.pop(number)

    def _make_call(self, order: Order) -> ChildCall:
        if order.op == FAILED and self._runner.remembers(order.about):
            return self._runner.call_of(order.about)
        return self._application.make_call(
            order.delivery,
            order.module,
            lambda progress: self.send([order.number, PROGRESS, 0, progress]),
            lambda awaited, begins: self.send([order.number, WAITING, 0, awaited, begins]),
        )

    def _reply(self, order: Order, fields: Frame) -> None:
        if (
            signal.getsignal(signal.SIGCHLD) is not self._sigchld
        ):  # the next task may wait for programs
            signal.signal(signal.SIGCHLD, self._sigchld)
        self._runs += order.op == RUN
        flags = SPENT * self._is_spent() + REMEMBERED * self._runner.remembers(order.number)
        self.send([order.number, fields[0], flags, *fields[1:]])

    def _is_spent(self) -> bool:
        if self._max_tasks is not None and self._runs >= self._max_tasks:
            return True
        return self._max_memory is not None and _resident_bytes(self._max_memory) > self._max_memory

    # On the event loop.

    async def _work_in_loop(
        self, order: tuple[Order, ChildCall] | None
    ) -> tuple[Order, ChildCall] | None:
        """Run async tasks and wait for more; return the next sync order, or None at the end."""
        with forks_of_loop():
            while True:
                if order is None:
                    await self._until_arrival()
                    if self._alone:
                        return None
                elif order[1].definition.is_async:
                    await self._run_in_loop(*order)
                else:
                    return order
                order = self._receive()

    async def _until_arrival(self) -> None:
        if self._alone:
            return
        self._arrival = arrival = self._loop.create_future()
        self._loop.add_reader(self._orders.fileno(), self._arrived)
        try:
            await arrival
        finally:
            self._arrival = None
            self._loop.remove_reader(self._orders.fileno())

    def _arrived(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def _read_stream(self) -> None:
        try:
            data = self._stream.recv(READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._alone = True
            self._loop.remove_reader(self._stream.fileno())
            self._arrived()
            if self._running is not None:
                self._running[2].cancel()
            return
        self._frames.feed(data)
        for frame in self._frames:
            if frame[0] == LARGE:
                self._large[frame[1]] = frame[2]
            elif frame[0] == CANCEL:
                self._cancelled = number = frame[1]
                self._large.pop(number, None)  # it may have been taken back
                if self._running is not None and self._running[0] == number:
                    self._running[1].interrupt()
                    self._running[2].cancel()

    async def _run_in_loop(self, order: Order, call: ChildCall) -> None:
        context = contextvars.copy_context()
        task = self._loop.create_task(self._runner.on_loop(order, call), context=context)
        self._running = (order.number, call, task)
        if self._cancelled == order.number:  # the order came before it started
            task.cancel()
        try:
            fields = await task
        except asyncio.CancelledError:
            fields = [CANCELLED]
        self._running = None
        self._reply(order, fields)

    # Outside of the event loop.

    def _run_here(self, order: Order, call: ChildCall) -> None:
        self._reply(order, self._runner.here(order, call))


def main(orders_fd: int, stream_fd: int) -> None:
    """Run a child process until the worker exits, for any reason."""
    with socket.socket(fileno=orders_fd) as orders, socket.socket(fileno=stream_fd) as stream:
        orders.set_inheritable(False)
        stream.set_inheritable(False)
        plan = unpack(_exactly(stream, int.from_bytes(_exactly(stream, 4))))[0]
        _die_with_parent(plan["parent"])
        _let_worker_decide()
        sys.argv = [sys.argv[0]]
        with suppress(AttributeError, ValueError):
            sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # not when it is replaced
        child = ChildMain(orders, stream, plan)
        try:
            child.start(plan)
        except BaseException as error:
            child.send([0, BROKEN, 0, error_info(error).traceback])
            raise SystemExit(1) from None
        child.work()
        child.close()


def _exactly(stream: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = stream.recv(size - len(data))
        if not part:
            raise SystemExit(0)
        data += part
    return bytes(data)


def _die_with_parent(parent: int) -> None:
    """Ask the system to kill this process when the loop thread of the worker exits.

    On systems that cannot do this, the process notices the end of the stream when no sync task runs."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _let_worker_decide() -> None:
    """Ignore the signals that stop a worker, because they are often sent to its whole process group.

    A handler does this, because programs that tasks start would inherit an ignored signal.
    """
    own = os.getpid()

    def ignore(number: int, _: object) -> None:
        if os.getpid() != own:  # in a process that a task has forked
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    signal.signal(signal.SIGINT, ignore)
    signal.signal(signal.SIGTERM, ignore)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # which `nohup` means for all
        signal.signal(signal.SIGHUP, ignore)


def _named(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    function: Callable[..., Any] = found
    return function


def _new_loop(kind: str) -> asyncio.AbstractEventLoop:
    if kind == "uvloop":
        try:
            import uvloop
        except ImportError:
            pass
        else:
            return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def _resident_bytes(limit: int) -> int:
    """Return the resident memory, or its peak, which is faster to read, if that is below the limit."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    if peak <= limit:
        return peak
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak
    return pages * resource.getpagesize()
