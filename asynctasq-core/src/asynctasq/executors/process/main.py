"""A child of the process executor: receives an order, runs it, replies; one at a time.

The event loop runs whenever there is an async task to run or nothing to do. Sync tasks run in the
main thread while it stands still, so that they may do what any script may: `asyncio.run`,
`dispatch_sync`, signals.
"""

import asyncio
import contextvars
import ctypes
import importlib
import inspect
import logging
import os
import resource
import select
import signal
import socket
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from asynctasq.contracts.executor import Attempt, Raised, Rejected, Returned
from asynctasq.errors import BodyError, UnknownTask
from asynctasq.executors.asking import ask_here, describe, judge, refuse_coroutine, run_failed
from asynctasq.executors.loop import LoopExecutor
from asynctasq.executors.process.bench import Bench, ChildCall
from asynctasq.executors.process.frames import (
    BROKEN,
    CANCEL,
    CANCELLED,
    CONNECTION_LOST_EXIT,
    FAILED,
    HOOK,
    JUDGE,
    LARGE,
    PROGRESS,
    READY,
    REMEMBERED,
    RUN,
    SPENT,
    Frame,
    Order,
    attempt_fields,
    pack,
    rebuilt,
    unfit_fields,
    unpack,
    unpack_order,
    unpacker,
)
from asynctasq.retry import retries_left
from asynctasq.settlement import ErrorInfo
from asynctasq.tasks.context import running_task

T = TypeVar("T")

DATAGRAM_BYTES = 2**17
READ_BYTES = 2**18
KEPT_RUNS = 16
"""Failed runs whose instances wait to hear that they have failed."""
CLOSE_SECONDS = 2.0
_PR_SET_PDEATHSIG = 1


class Child:
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
        self._loop = _new_loop()
        self._loop_executor = LoopExecutor()
        self._bench: Bench
        self._max_tasks: int | None = plan["max_tasks"]
        self._max_memory: int | None = plan["max_memory"]
        self._runs = 0
        self._large: dict[int, Frame] = {}
        self._failed: OrderedDict[int, tuple[ChildCall, BaseException]] = OrderedDict()
        self._arrival: asyncio.Future[None] | None = None
        self._running: tuple[int, ChildCall, asyncio.Task[Frame]] | None = None
        self._cancelled = 0
        self._alone = False
        """The worker is gone."""

    def start(self, plan: Mapping[str, Any]) -> None:
        """Import the application and make ready."""
        self._bench = _named(plan["bootstrap"])(plan["arguments"])
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._bench.open())
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
                    await self._bench.close()

        self._loop.run_until_complete(close())
        self._loop.close()

    def send(self, frame: Frame) -> None:
        """Tell the worker. From any thread."""
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
                self._reply(order, attempt_fields(Raised(describe(error), retry=True)))
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
        if order.op == FAILED and order.about in self._failed:
            return self._failed[order.about][0]
        return self._bench.make_call(
            order.delivery,
            order.module,
            lambda progress: self.send([order.number, PROGRESS, 0, progress]),
        )

    def _reply(self, order: Order, fields: Frame) -> None:
        self._runs += order.op == RUN
        flags = SPENT * self._is_spent() + REMEMBERED * (order.number in self._failed)
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
        task = self._loop.create_task(self._fields_in_loop(order, call), context=context)
        self._running = (order.number, call, task)
        if self._cancelled == order.number:  # it was told so before it began
            task.cancel()
        try:
            fields = await task
        except asyncio.CancelledError:
            fields = [CANCELLED]
        self._running = None
        self._reply(order, fields)

    async def _fields_in_loop(self, order: Order, call: ChildCall) -> Frame:
        running_task.set(call.current)
        if order.op == FAILED:
            return await self._hook(run_failed(call, self._failure(order), ask_here))
        try:
            if order.op == JUDGE:
                attempt = await judge_rebuilt(order, call, ask_here)
            else:
                attempt = await self._loop_executor.execute(call)
        except BodyError as error:
            return unfit_fields(error)
        self._keep(order, call, attempt)
        return attempt_fields(attempt)

    async def _hook(self, hook: Coroutine[Any, Any, None]) -> Frame:
        try:
            await hook
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            return [HOOK, describe(error).traceback]
        return [HOOK, None]

    # Outside of it.

    def _run_here(self, order: Order, call: ChildCall) -> None:
        running_task.set(call.current)
        self._reply(order, self._fields_here(order, call))

    def _fields_here(self, order: Order, call: ChildCall) -> Frame:
        if order.op != RUN and call.has_models and order.about not in self._failed:
            return self._loop.run_until_complete(self._fields_in_loop(order, call))
        if order.op == FAILED:
            failure = self._failure(order)
            return _finish(self._hook(run_failed(call, failure, self._ask_here)))
        if order.op == JUDGE:
            attempt = _finish(judge_rebuilt(order, call, self._ask_here))
        else:
            task = None
            try:
                load = call.load()
                task = self._loop.run_until_complete(load) if call.has_models else _finish(load)
                value = task.execute()
                refuse_coroutine(value)
                attempt = Returned(call.encode_result(value))
            except BaseException as error:
                if task is None and isinstance(error, BodyError):
                    return unfit_fields(error)
                attempt = _finish(judge(call, error, self._ask_here))
        self._keep(order, call, attempt)
        return attempt_fields(attempt)

    async def _ask_here(self, method: Callable[[Exception], Any], exception: Exception) -> Any:
        """Call a method outside of the loop, which is run only for what is async."""
        answer = method(exception)
        return self._loop.run_until_complete(answer) if inspect.isawaitable(answer) else answer

    # What failed for good is kept, until it has heard so.

    def _keep(self, order: Order, call: ChildCall, attempt: Attempt) -> None:
        if not isinstance(attempt, Raised | Rejected) or attempt.exception is None:
            return
        delivery = order.delivery
        left = retries_left(delivery.attempt, delivery.message.max_attempts)
        if isinstance(attempt, Raised) and attempt.retry and left:
            return
        self._failed[order.number] = (call, attempt.exception)
        if len(self._failed) > KEPT_RUNS:
            self._failed.popitem(last=False)

    def _failure(self, order: Order) -> Raised:
        """The failure of which a hook is to hear: the original, or one that says the same."""
        error = order.error or ErrorInfo("RuntimeError", "", "")
        known = self._failed.pop(order.about, None)
        return Raised(error, retry=False, exception=rebuilt(error) if known is None else known[1])


def _finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        value: T = ended.value
        return value
    coroutine.close()
    raise RuntimeError("a coroutine waits although it runs outside of the loop")


async def judge_rebuilt(order: Order, call: ChildCall, ask: Any) -> Attempt:
    """What a task says of an error that it has not raised itself: a time-out, the death of a child."""
    assert order.error is not None
    with suppress(Exception):  # it is asked as far as it is built
        await call.load()
    return await judge(call, rebuilt(order.error), ask)


def main(orders_fd: int, stream_fd: int) -> None:
    """Be a child. Ends with the worker, however that ends."""
    orders, stream = socket.socket(fileno=orders_fd), socket.socket(fileno=stream_fd)
    orders.set_inheritable(False)
    stream.set_inheritable(False)
    plan = unpack(_exactly(stream, int.from_bytes(_exactly(stream, 4))))[0]
    _die_with_parent(plan["parent"])
    _let_worker_decide()
    sys.argv = [sys.argv[0]]
    with suppress(AttributeError, ValueError):
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # not when it is replaced
    child = Child(orders, stream, plan)
    try:
        child.start(plan)
    except BaseException as error:
        child.send([0, BROKEN, 0, describe(error).traceback])
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


def _named(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    function: Callable[..., Any] = found
    return function


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


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
