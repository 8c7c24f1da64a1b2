"""Health reports and metrics over HTTP, with a limit on everything that a client can take."""

import asyncio
import errno
import logging
import os
import selectors
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Self

from asynctasq.errors import ConfigurationError
from asynctasq.exposition import Page
from asynctasq.worker.health import Report
from asynctasq.worker.services.health_answers import REQUEST_BYTES, Answers, Query
from asynctasq.worker.timing import HealthTiming

logger = logging.getLogger("asynctasq")

MOST_CONNECTIONS = 16
"""Number of connections at once. One more replaces the oldest connection without a complete request."""
READ_BYTES = 4096
BACKLOG = 128


class HealthServer:
    """Serves reports over HTTP from its own threads, from `open` to `close`.

    `/livez` and `/readyz` answer 200 or 503, `/status` 200; all in JSON. Pages choose their code and their
    format. One thread accepts and reads; each complete request is answered in its own thread.
    """

    def __init__(
        self,
        host: str,
        port: int,
        reports: Mapping[str, Callable[[], Report]],
        *,
        pages: Mapping[str, Callable[[Query], Page]] | None = None,
        what: str = "health",
        timing: HealthTiming | None = None,
    ) -> None:
        """Make a server; nothing is opened.

        Args:
            host: address to listen on.
            port: 0 for any free port; see `port` of the instance.
            reports: by path. A report with a field `ok` is answered with 503 if that is false.
            pages: by path, answers that are not JSON or depend on the request.
            what: what is served, for messages.
            timing: durations.
        """
        self._what = what
        self._host = host
        self.port = port
        self._answers = Answers(reports, pages or {})
        self._timing = timing or HealthTiming()
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._wake = -1

    def open(self, failed: Callable[[BaseException], None] | None = None) -> None:
        """Start serving.

        Args:
            failed: called on the running loop if serving ends with an error.

        Raises:
            ConfigurationError: the address cannot be used.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            self._listener = socket.create_server(
                (self._host, self.port), family=family, backlog=BACKLOG
            )
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"Could not serve {self._what} at {self._host}, port {self.port}: {error}."
            ) from error
        self.port = self._listener.getsockname()[1]
        woken, self._wake = os.pipe()
        loop = None if failed is None else asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._serve,
            args=(_Connections(self._listener, woken, self._answers, self._timing), failed, loop),
            name="asynctasq-health",
            daemon=True,
        )
        self._thread.start()
        logger.info("Serving %s at http://%s:%d", self._what, self._host, self.port)

    def _serve(
        self,
        connections: "_Connections",
        failed: Callable[[BaseException], None] | None,
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        try:
            connections.serve()
        except Exception as error:
            if failed is None or loop is None:
                logger.exception("The health server failed")
                return
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(failed, error)

    def __enter__(self) -> Self:
        """Start serving.

        Raises:
            ConfigurationError: the address cannot be used.
        """
        self.open()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """Stop serving."""
        self.close()

    def close(self) -> None:
        """Stop listening, and close the connections. Idempotent."""
        if self._listener is not None and self._thread is not None:
            with suppress(OSError):  # serving has failed
                os.write(self._wake, b"\n")
            self._thread.join()
            os.close(self._wake)
            self._listener.close()
            self._listener = self._thread = None


class _Connections:
    """The connections of a server; `serve` runs in a thread."""

    def __init__(
        self,
        listener: socket.socket,
        woken: int,
        answers: Answers,
        timing: HealthTiming,
    ) -> None:
        self._timing = timing
        listener.setblocking(False)
        self._listener = listener
        self._woken = woken
        self._answers = answers
        self._selector = selectors.DefaultSelector()
        self._reading: dict[socket.socket, _Request] = {}
        """Incomplete requests by connection, the oldest first."""
        self._answering: set[socket.socket] = set()
        self._accept_at = 0.0

    def serve(self) -> None:
        try:
            self._selector.register(self._woken, selectors.EVENT_READ)
            while self._turn():
                pass
        finally:
            for client in (*self._reading, *tuple(self._answering)):
                _close(client)
            self._selector.close()
            os.close(self._woken)

    def _turn(self) -> bool:
        """Handle the next events; False at the end."""
        self._listen()
        for key, _ in self._selector.select(self._patience()):
            if key.fileobj == self._woken:
                return False
            if key.fileobj is self._listener:
                self._accept()
            elif (request := self._reading.get(key.data)) is not None:
                self._read(key.data, request)
        now = monotonic()
        for client in [each for each, request in self._reading.items() if request.due_at <= now]:
            self._drop(client)
        return True

    def _listen(self) -> None:
        """Accept connections, or stop that during a pause and while all connections wait for answers."""
        may = monotonic() >= self._accept_at and len(self._answering) < MOST_CONNECTIONS
        registered = self._listener in self._selector.get_map()
        if may and not registered:
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif registered and not may:
            self._selector.unregister(self._listener)

    def _patience(self) -> float | None:
        now = monotonic()
        times = [request.due_at for request in self._reading.values()]
        if self._accept_at > now:
            times.append(self._accept_at)
        if len(self._answering) >= MOST_CONNECTIONS:
            times.append(now + self._timing.eviction)
        return max(0.0, min(times) - now) if times else None

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                self._accept_at = monotonic() + self._timing.error
            return
        client.setblocking(False)
        if len(self._reading) + len(self._answering) >= MOST_CONNECTIONS and self._reading:
            self._drop(next(iter(self._reading)))
            self._accept_at = monotonic() + self._timing.eviction
        self._reading[client] = _Request(monotonic() + self._timing.request)
        self._selector.register(client, selectors.EVENT_READ, client)

    def _read(self, client: socket.socket, request: "_Request") -> None:
        try:
            data = client.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(client)
        elif request.add(data):
            self._selector.unregister(client)
            del self._reading[client]
            self._answering.add(client)
            try:
                threading.Thread(
                    target=self._answer,
                    args=(client, request),
                    name="asynctasq-health-answer",
                    daemon=True,
                ).start()
            except RuntimeError:  # the system has no more threads
                self._accept_at = monotonic() + self._timing.error
                self._answering.discard(client)
                _close(client)

    def _drop(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        del self._reading[client]
        _close(client)

    def _answer(self, client: socket.socket, request: "_Request") -> None:
        try:
            answer = self._answers.answer(request.data)
            client.settimeout(max(0.1, request.due_at - monotonic()))
            client.sendall(answer)
            client.shutdown(socket.SHUT_WR)
        except OSError:  # the client has gone, or reads too slowly
            pass
        finally:
            self._answering.discard(client)
            _close(client)


class _Request:
    """A request: the bytes that the client has sent so far."""

    def __init__(self, due_at: float) -> None:
        self.due_at = due_at
        self.data = b""

    def add(self, data: bytes) -> bool:
        """Add received bytes; True when the request is complete, or too long."""
        self.data += data
        return b"\r\n\r\n" in self.data or b"\n\n" in self.data or len(self.data) > REQUEST_BYTES


def _close(client: socket.socket) -> None:
    with suppress(OSError):
        client.close()
