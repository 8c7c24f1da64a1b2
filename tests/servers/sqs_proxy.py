"""A proxy before the stand-in for SQS that counts calls, and injects the faults of a busy service."""

import asyncio
import json
import random
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Any, TypeAlias

from aiohttp import ClientSession, web

MIB = 1 << 20
FREEZE_SECONDS = 30.0
Fault: TypeAlias = Callable[[str], bool]
"""Whether the call of an operation meets a fault."""

FAILURE = {"SenderFault": False, "Code": "InternalError", "Message": "injected"}


class SQSProxy:
    """Passes calls on. Each fault is a function that is asked for every call."""

    def __init__(self, target: str) -> None:
        self.url = ""
        self.calls: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        """The faults that occurred."""
        self.throttle: Fault = _never
        self.fail_before: Fault = _never
        """Answers with 500, and executes nothing."""
        self.fail_after: Fault = _never
        """Executes the call, and answers with 500."""
        self.cut: Fault = _never
        """Executes the call, and closes the connection."""
        self.freeze: Fault = _never
        """Executes the call, and answers nothing."""
        self.fail_entries: Fault = _never
        """Executes a part of a batch."""
        self.duplicate: Fault = _never
        """Delivers the messages of an answer again, as another copy with the same contents."""
        self.refuse: str = ""
        """An error that every call is answered with."""
        self.denied: str = ""
        """The end of the name of a queue, calls for which the user has no rights."""
        self._target = target
        self._session: ClientSession | None = None
        self.is_closing = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one call."""
        operation = request.headers["X-Amz-Target"].rpartition(".")[2]
        self.calls[operation] += 1
        payload: dict[str, Any] = json.loads(await request.read())
        if self.refuse:
            return _error(400, self.refuse)
        if self.denied and payload.get("QueueUrl", "").endswith(self.denied):
            return _error(403, "AccessDenied")
        if operation == "SendMessageBatch" and _sent_bytes(payload["Entries"]) > MIB:
            return _error(400, "BatchRequestTooLong")  # the stand-in accepts it
        if self._meets(self.throttle, "throttle", operation):
            return _error(400, "ThrottlingException")
        if self._meets(self.fail_before, "fail_before", operation):
            return _error(500, "InternalError")
        failed = self._take_entries(operation, payload)
        status, body = await self._pass_on(request, payload)
        if self._meets(self.fail_after, "fail_after", operation):
            return _error(500, "InternalError")
        if self._meets(self.cut, "cut", operation):
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if self._meets(self.freeze, "freeze", operation):
            with_timeout = asyncio.wait_for(self.is_closing.wait(), FREEZE_SECONDS)
            await asyncio.gather(with_timeout, return_exceptions=True)
        if failed:
            answer = json.loads(body)
            answer["Failed"] = [*answer.get("Failed", []), *failed]
            body = json.dumps(answer).encode()
        if operation == "ReceiveMessage" and self._meets(self.duplicate, "duplicate", operation):
            await self._deliver_again(request, payload["QueueUrl"], json.loads(body))
        return web.Response(
            status=status, body=body, headers={"Content-Type": "application/x-amz-json-1.0"}
        )

    def _meets(self, fault: Fault, name: str, operation: str) -> bool:
        if not fault(operation):
            return False
        self.met[name] += 1
        return True

    def _take_entries(self, operation: str, payload: dict[str, Any]) -> list[dict[str, Any]]:
        entries = payload.get("Entries", [])
        if len(entries) < 2 or not self._meets(self.fail_entries, "fail_entries", operation):
            return []
        payload["Entries"] = entries[::2]
        return [{"Id": entry["Id"], **FAILURE} for entry in entries[1::2]]

    async def _pass_on(self, request: web.Request, payload: dict[str, Any]) -> tuple[int, bytes]:
        assert self._session is not None
        headers = {
            name: request.headers[name]
            for name in ("X-Amz-Target", "Content-Type", "Authorization")
        }
        async with self._session.post(
            self._target, data=json.dumps(payload), headers=headers
        ) as answer:
            return answer.status, await answer.read()

    async def _deliver_again(self, request: web.Request, url: str, answer: dict[str, Any]) -> None:
        assert self._session is not None
        for each in answer.get("Messages", []):
            attributes = {
                name: {
                    key: value[key]
                    for key in ("DataType", "StringValue", "BinaryValue")
                    if key in value
                }
                for name, value in each.get("MessageAttributes", {}).items()
            }
            copy = {"QueueUrl": url, "MessageBody": each["Body"], "MessageAttributes": attributes}
            headers = {
                "X-Amz-Target": "AmazonSQS.SendMessage",
                "Content-Type": "application/x-amz-json-1.0",
                "Authorization": request.headers["Authorization"],
            }
            async with self._session.post(
                self._target, data=json.dumps(copy), headers=headers
            ) as sent:
                assert sent.status == 200

    async def start(
        self, session: ClientSession, runner: web.AppRunner, tls: SSLContext | None
    ) -> None:
        """Listen on a free port."""
        self._session = session
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        [(host, port)] = runner.addresses
        self.url = f"http://{host}:{port}" if tls is None else f"https://localhost:{port}"


def _sent_bytes(entries: list[dict[str, Any]]) -> int:
    """Return the bytes of a batch, as SQS counts them."""
    return sum(
        len(entry["MessageBody"].encode())
        + sum(
            len(name)
            + len(value["DataType"])
            + len(value.get("StringValue", "").encode())
            + len(b64decode(value.get("BinaryValue", "")))
            for name, value in entry.get("MessageAttributes", {}).items()
        )
        for entry in entries
    )


def _never(_: str) -> bool:
    return False


def chance(seed: int, share: float) -> Fault:
    """Return a fault that a share of the calls meets, except those that make or find queues."""
    source = random.Random(seed)
    return lambda operation: "Queue" not in operation and source.random() < share


def _error(status: int, code: str) -> web.Response:
    return web.json_response(
        {"__type": f"com.amazonaws.sqs#{code}", "message": "injected"},
        status=status,
        headers={"x-amzn-query-error": f"{code};Sender"},
        content_type="application/x-amz-json-1.0",
    )


@asynccontextmanager
async def sqs_proxy(target: str, tls: SSLContext | None = None) -> AsyncIterator[SQSProxy]:
    """Yield a proxy before the service at an address; with `tls`, its connections are encrypted."""
    proxy = SQSProxy(target)
    application = web.Application(client_max_size=8 * MIB)
    application.router.add_post("/{path:.*}", proxy.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    async with ClientSession() as session:
        await proxy.start(session, runner, tls)
        try:
            yield proxy
        finally:
            proxy.is_closing.set()
            await runner.cleanup()
