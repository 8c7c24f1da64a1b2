"""A child of the process executor: receives an order, runs it, replies; one at a time.

The event loop runs whenever there is an async task to run or nothing to do. Sync tasks run in the
main thread while it stands still, so that they may do what any script may: `asyncio.run`,
`dispatch_sync`, signals.
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
    """What runs in a child process."""

    def __init__(
        self, orders: socket.socket, stream: socket.socket, plan: Mapping[str, Any]
    ) -> None:
        """Take over the sockets.

        Args:
            orders: datagrams from the worker.
            stream: to and from the worker.
            plan: see `children.plan_of`.
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
        """The worker is gone."""
        self._depth = forks.depth
        self._sigchld = signal.getsignal(signal.SIGCHLD)

    def start(self, plan: Mapping[str, Any]) -> None:
        """Import the application and make ready."""
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
        """Let go of what tasks used."""

        async def close() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._application.close()

        self._loop.run_until_complete(close())
        self._loop.close()

    def send(self, frame: Frame) -> None:
        """Tell the worker. From any thread."""
        if forks.depth != self._depth:
            forks.end()
        try:
            with self._writing:
                self._write_all(pack(frame))
        except OSError:
            # The worker is gone, or a task has closed what was not its own: nothing more can be told.
            os._exit(CONNECTION_LOST_EXIT)

    def _write_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._stream.send(rest) :]
            except BlockingIOError:  # uvloop makes what it watches non-blocking
                select.select([], [self._stream], [])

    def _receive(self) -> tuple[Order, ChildCall] | None:
        """The next order that can be begun; those that cannot are replied to at once."""
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
                    "%s cannot be imported in a child process.", order.module
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
        ):  # the next task waits for programs
            signal.signal(signal.SIGCHLD, self._sigchld)
        self._runs += order.op == RUN
        flags = SPENT * self._is_spent() + REMEMBERED * self._runner.remembers(order.number)
        self.send([order.number, fields[0], flags, *fields[1:]])

    def _is_spent(self) -> bool:
        if self._max_tasks is not None and self._runs >= self._max_tasks:
            return True
        return self._max_memory is not None and _resident_bytes(self._max_memory) > self._max_memory

    # In the loop.

    async def _work_in_loop(
        self, order: tuple[Order, ChildCall] | None
    ) -> tuple[Order, ChildCall] | None:
        """Run async tasks, and wait for more; returns what is to run outside, None at the end."""
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
        if self._cancelled == order.number:  # it was told so before it began
            task.cancel()
        try:
            fields = await task
        except asyncio.CancelledError:
            fields = [CANCELLED]
        self._running = None
        self._reply(order, fields)

    # Outside of it.

    def _run_here(self, order: Order, call: ChildCall) -> None:
        self._reply(order, self._runner.here(order, call))


def main(orders_fd: int, stream_fd: int) -> None:
    """Be a child. Ends with the worker, however that ends."""
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
    """Let the system kill this process when the worker's loop thread dies; where it cannot, the end
    of the stream is noticed once no sync task runs."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _let_worker_decide() -> None:
    """Ignore the signals that end a worker: they often go to all its group.

    By a handler, as an ignored signal stays ignored in programs that tasks start.
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
    """Resident memory; the peak, which is quick to ask for, as long as that is below the limit."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    if peak <= limit:
        return peak
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak
    return pages * resource.getpagesize()
