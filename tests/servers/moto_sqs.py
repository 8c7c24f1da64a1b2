"""The program of the stand-in for SQS: moto's server, made safe for threads, with a clock that tests move.

`PUT /control/clock?prefix=P&offset=S` moves the clock of all queues whose names begin with P.
"""

import functools
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sqs import models
from werkzeug.serving import WSGIRequestHandler, make_server

LOOK_SECONDS = 0.02
_lock = threading.RLock()
_offsets: dict[str, float] = {}


class _Clock:
    """The time of the call that holds the lock."""

    now = 0.0


def _offset_of(queue: str) -> float:
    fitting = [prefix for prefix in _offsets if queue.startswith(prefix)]
    return _offsets[max(fitting, key=len)] if fitting else 0.0


def _locked(method: Callable[..., Any]) -> Callable[..., Any]:
    """Run one method of the backend at a time, at the time of its queue."""

    @functools.wraps(method)
    def run(self: Any, queue_name: str, *arguments: Any, **named: Any) -> Any:
        with _lock:
            _Clock.now = time.time() + _offset_of(queue_name)
            return method(self, queue_name, *arguments, **named)

    return run


def _visible_messages(queue: Any) -> list[Any]:
    now = _Clock.now * 1000
    return [each for each in queue._messages if now > each.visible_at and now >= each.delayed_until]


def _is_kept(self: Any, queue_name: str, message: Any) -> bool:
    period = self.queues[queue_name].message_retention_period
    return bool(period + message.sent_timestamp / 1000 > _Clock.now)


def _quick_send(send: Callable[..., Any]) -> Callable[..., Any]:
    """Send without counting the messages of the queue each time."""

    @functools.wraps(send)
    def run(self: Any, *arguments: Any, **named: Any) -> Any:
        queue: Any = models.Queue
        attributes = queue.attributes
        queue.attributes = property(_deduplication)
        try:
            return send(self, *arguments, **named)
        finally:
            queue.attributes = attributes

    return run


def _deduplication(queue: Any) -> dict[str, str]:
    return {"ContentBasedDeduplication": str(bool(queue.content_based_deduplication)).lower()}


def _long_poll(receive: Callable[..., Any]) -> Callable[..., Any]:
    """Wait for messages without holding the lock."""

    @functools.wraps(receive)
    def run(
        self: Any, name: str, count: int, wait: int, visibility: int, attributes: Any = None
    ) -> Any:
        end = time.monotonic() + wait
        while not (found := receive(self, name, count, 0, visibility, attributes)):
            if time.monotonic() >= end:
                break
            time.sleep(LOOK_SECONDS)
        return found

    return run


def patch() -> None:
    """Make moto's SQS safe for threads, and its clock movable."""
    clock: Any = models
    clock.unix_time = lambda: _Clock.now
    clock.unix_time_millis = lambda: _Clock.now * 1000
    backend: Any = models.SQSBackend
    backend.is_message_valid_based_on_retention_period = _is_kept
    backend.send_message_batch = _quick_send(backend.send_message_batch)
    clock.Queue.messages = property(_visible_messages)
    for name in (
        "change_message_visibility", "change_message_visibility_batch", "create_queue", "delete_message",
        "delete_message_batch", "delete_queue", "get_queue", "get_queue_attributes", "purge_queue", "receive_message",
        "send_message", "send_message_batch", "set_queue_attributes",
    ):  # fmt: skip
        setattr(backend, name, _locked(getattr(backend, name)))
    backend.receive_message = _long_poll(backend.receive_message)


class Handler(WSGIRequestHandler):
    """Logs nothing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Log nothing."""


def application() -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    """Return the application: the control of the clock, and moto."""
    moto: Any = DomainDispatcherApplication(create_backend_app)

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/control/clock":
            found: Iterable[bytes] = moto(environ, start_response)
            return found
        query = parse_qs(environ["QUERY_STRING"])
        _offsets[query["prefix"][0]] = float(query["offset"][0])
        body = json.dumps(_offsets).encode()
        start_response(
            "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        )
        return [body]

    return answer


if __name__ == "__main__":
    patch()
    make_server(
        "127.0.0.1", int(sys.argv[1]), application(), threaded=True, request_handler=Handler
    ).serve_forever()
