"""How a worker is, told without its event loop: a task that blocks that is what one wants to hear of."""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from types import TracebackType
from typing import Any, Self, TypeAlias

from asynctasq.errors import ConfigurationError
from asynctasq.message import id_to_text
from asynctasq.worker.running import Running

Report: TypeAlias = dict[str, Any]
"""What JSON can carry."""

DEFAULT_HEALTH_HOST = "127.0.0.1"
"""Nobody is asked who they are, so only this machine is served unless told otherwise."""
ANSWER_SECONDS = 1.0
"""What a loop gets to show that it runs."""
BLOCKED_SECONDS = 2.0
"""A worker whose loop has not run for this long is not ready."""
SLACK_SECONDS = 1.0
"""Of a renewal that is a little late."""
CLIENT_SECONDS = 5.0
"""For a client to send its request."""


class Phase(StrEnum):
    """Of a worker's life."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class Vitals:
    """What is known of one worker. Every method may be called from any thread but the worker's own."""

    def __init__(
        self,
        *,
        about: Mapping[str, Any],
        held: Callable[[], Sequence[Running]],
        lease: float,
        stall_limit: float,
        grace_period: float,
    ) -> None:
        """Make them for the running loop.

        Args:
            about: what never changes; for `status`.
            held: what the worker holds, in one atomic step.
            lease: seconds within which the store has to be reached.
            stall_limit: seconds for which the loop may be blocked.
            grace_period: seconds that running tasks get at the end.
        """
        self._about = dict(about)
        self.held = held
        self._lease = lease
        self._stall_limit = stall_limit
        self.grace_period = grace_period
        self._lag = LoopLag(asyncio.get_running_loop())
        self.phase = Phase.STARTING
        self.fetching = True
        """False once the fetcher has ended, whatever for."""
        self._reached_at = monotonic()

    def reached(self) -> None:
        """A call to the store has just succeeded."""
        self._reached_at = monotonic()

    def live(self) -> Report:
        """Whether it is of any use; never asks the store."""
        lag = self._lag.seconds(ANSWER_SECONDS)
        problems: list[str] = []
        if lag > self._stall_limit:
            problems.append(f"the event loop has been blocked for {lag:.0f} s")
        if not self.fetching and self.phase is Phase.RUNNING:
            problems.append("the fetcher has ended")
        return _verdict(problems, loop_lag=round(lag, 3))

    def ready(self) -> Report:
        """Whether it would take a message that is dispatched now."""
        lag = self._lag.seconds(ANSWER_SECONDS)
        silence = monotonic() - self._reached_at
        problems: list[str] = []
        if self.phase is not Phase.RUNNING:
            problems.append(f"the worker is {self.phase}")
        elif not self.fetching:
            problems.append("the fetcher has ended")
        if lag > BLOCKED_SECONDS:
            problems.append(f"the event loop has been blocked for {lag:.0f} s")
        if silence > self._lease + SLACK_SECONDS:
            problems.append(f"the store has not been reached for {silence:.0f} s")
        return _verdict(problems, loop_lag=round(lag, 3), store_reached_ago=round(silence, 3))

    def status(self) -> Report:
        """Who it is and what it runs. No arguments: they may be secret."""
        held = self.held()
        now = monotonic()  # the clock of asyncio's loops, too
        running = sorted(
            (each for each in held if each.started_at), key=lambda each: each.started_at
        )
        return {
            **self._about,
            "phase": self.phase,
            "live": self.live(),
            "ready": self.ready(),
            "stall_limit": self._stall_limit,
            "grace_period": self.grace_period,
            "held": len(held),
            "running": [
                {
                    "id": id_to_text(each.delivery.message.id),
                    "name": each.delivery.message.task,
                    "queue": each.delivery.message.queue,
                    "attempt": each.delivery.attempt,
                    "age": round(max(0.0, now - each.started_at), 3),
                }
                for each in running
            ],
        }

    def beat(self) -> Report:
        """What a supervisor wants to know every second."""
        return {
            "phase": self.phase,
            "live": self.live()["ok"],
            "stall_limit": self._stall_limit,
            "grace_period": self.grace_period,
        }


class LoopLag:
    """For how long an event loop has not run; found by asking it, from other threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asking = threading.Lock()
        self._asked_at: float | None = None
        self._answered = threading.Event()

    def seconds(self, patience: float) -> float:
        """Since the oldest question that is not answered; 0 if one is answered within `patience`."""
        with self._asking:
            if self._asked_at is None:
                self._answered.clear()
                self._asked_at = monotonic()
                with suppress(RuntimeError):  # closed: the worker has ended
                    self._loop.call_soon_threadsafe(self._answer)
        self._answered.wait(patience)
        asked_at = self._asked_at
        return 0.0 if asked_at is None else monotonic() - asked_at

    def _answer(self) -> None:
        self._asked_at = None
        self._answered.set()


class HealthServer:
    """Serves reports over HTTP from threads of its own, while it is entered.

    `/livez` and `/readyz` answer 200 or 503, `/status` 200; all in JSON.
    """

    def __init__(self, host: str, port: int, reports: Mapping[str, Callable[[], Report]]) -> None:
        """Make a server; nothing is opened.

        Args:
            host: to listen on.
            port: 0 for any that is free; see `port` of the instance.
            reports: by path. One that has a field `ok` is answered with 503 if that is false.
        """
        self._host = host
        self.port = port
        self._reports = reports
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin to serve.

        Raises:
            ConfigurationError: nothing can listen there.
        """
        handler = type("Handler", (_Handler,), {"reports": self._reports})
        try:
            self._server = _Server((self._host, self.port), handler)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"Health cannot be served at {self._host}, port {self.port}: {error}."
            ) from error
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="asynctasq-health", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """Listen no more."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None


def worker_reports(vitals: Vitals) -> dict[str, Callable[[], Report]]:
    """Those of one worker."""
    return {"/livez": vitals.live, "/readyz": vitals.ready, "/status": vitals.status}


def _verdict(problems: Sequence[str], **figures: float) -> Report:
    return {"ok": not problems, "problems": list(problems), **figures}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away concerns nobody."""


class _Handler(BaseHTTPRequestHandler):
    reports: Mapping[str, Callable[[], Report]]
    timeout = CLIENT_SECONDS
    server_version = "asynctasq"
    sys_version = ""

    def do_GET(self) -> None:
        report = self.reports.get(self.path.partition("?")[0].rstrip("/"))
        if report is None:
            known = {"problems": [f"Nothing is here; there are {', '.join(self.reports)}."]}
            self._answer(HTTPStatus.NOT_FOUND, known)
            return
        told = report()
        ok = told.get("ok", True)
        self._answer(HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE, told)

    do_HEAD = do_GET  # noqa: N815  named by http.server

    def _answer(self, code: HTTPStatus, report: Report) -> None:
        body = json.dumps(report, default=str).encode() + b"\n"
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  named by http.server
        """Probes come every few seconds: they are not logged."""
