"""The AWS client of one opened driver: calls with a time limit, and errors of asynctasq."""

import asyncio
import contextlib
import io
import os
from collections.abc import Mapping
from typing import Any, Protocol

from asynctasq_sqs.errors import translated
from asynctasq_sqs.leases import Shared
from asynctasq_sqs.settings import SQSSettings

PARALLEL_CALLS = 16
"""Calls of one kind that run at the same time."""
STREAMED_BYTES = 1 << 19


class Session(Protocol):
    """The interface of an `aioboto3.Session` or an `aiobotocore` session that the driver uses."""

    def client(self, service_name: str, /, **arguments: Any) -> Any:
        """Return an async context manager of a client."""
        ...


class Client:
    """Calls to SQS."""

    def __init__(
        self, settings: SQSSettings, place: str, shared: Shared, session: Session | None
    ) -> None:
        self.settings = settings
        self.place = f"The SQS service at {place}"
        self.shared = shared
        self.loop: asyncio.AbstractEventLoop | None = None
        self.slots = asyncio.Semaphore(PARALLEL_CALLS)
        self._session = session
        self._client: Any = None
        self._exit = contextlib.AsyncExitStack()

    async def open(self) -> None:
        """Make the client. Importing the AWS client and finding credentials takes place in a thread.

        Raises:
            DriverError: there are no credentials, or no region, for example.
        """
        self.loop = asyncio.get_running_loop()
        try:
            session, arguments = await asyncio.to_thread(self._prepare)
            self._client = await self._exit.enter_async_context(session.client("sqs", **arguments))
            self._client.meta.events.register("before-send.sqs", _stream_large_body)
        except Exception as error:
            if not _is_of_client(error):
                raise
            raise translated(error, self.place) from error

    @property
    def is_here(self) -> bool:
        """True on the event loop that opened the client."""
        return self.loop is asyncio.get_running_loop()

    async def close(self) -> None:
        """Close the connections."""
        await self._exit.aclose()

    async def call(
        self, operation: str, *, seconds: float = 0.0, **arguments: Any
    ) -> Mapping[str, Any]:
        """Return the answer of an operation.

        Args:
            operation: the method of the client.
            seconds: time for which the service may hold the call, beside the time limit of each call.
            arguments: those of the method.

        Raises:
            DriverUnavailable: the call may be repeated.
            DriverError: SQS refused the call.
        """
        try:
            async with asyncio.timeout(self.settings.timeout + seconds):
                answer: Mapping[str, Any] = await getattr(self._client, operation)(**arguments)
        except Exception as error:
            if not _is_of_client(error):
                raise
            raise translated(error, self.place) from error
        return answer

    def _prepare(self) -> tuple[Session, dict[str, Any]]:
        settings, arguments = self.settings, dict[str, Any]()
        if settings.endpoint_url is not None:
            arguments["endpoint_url"] = settings.endpoint_url
        if self._session is not None:
            if settings.region is not None:
                arguments["region_name"] = settings.region
            bundle = os.environ.get("AWS_CA_BUNDLE")
            return self._session, arguments | self._connecting(bundle)
        from asynctasq_sqs.credentials import find_credentials, make_session

        if self.shared.credentials is None:
            self.shared.credentials = find_credentials(settings)
        session, arguments["region_name"], bundle = make_session(settings, self.shared.credentials)
        return session, arguments | self._connecting(bundle)

    def _connecting(self, bundle: str | None) -> dict[str, Any]:
        """Return the arguments of the client about its connections.

        Reading certificates blocks for long, so it takes place here, and not on the event loop.
        """
        from aiobotocore.config import AioConfig

        settings = self.settings
        options: dict[str, Any] = {
            "connect_timeout": settings.connect_timeout,
            "read_timeout": settings.timeout + settings.long_poll,
            "max_pool_connections": settings.max_connections,
            "retries": {
                "total_max_attempts": 1
            },  # core repeats calls, and knows which it may repeat
            "tcp_keepalive": True,
        }
        if (settings.endpoint_url or "").startswith("http://"):
            return {"config": AioConfig(**options), "verify": False}
        from asynctasq_sqs.tls import http_session_class

        try:
            config = AioConfig(http_session_cls=http_session_class(bundle), **options)
        except TypeError:  # aiobotocore before 2.20 makes the sessions itself
            config = AioConfig(**options)
        return {"config": config}


def _stream_large_body(request: Any, **_: Any) -> None:
    """Send a large body piece by piece: aiohttp warns of bodies in memory above its limit."""
    if isinstance(request.body, bytes) and len(request.body) > STREAMED_BYTES:
        request.body = io.BytesIO(request.body)


def _is_of_client(error: Exception) -> bool:
    """Return whether the AWS client raised an error, or a network."""
    from aiohttp import ClientError as HTTPError
    from botocore.exceptions import BotoCoreError, ClientError

    return isinstance(error, BotoCoreError | ClientError | HTTPError | OSError | TimeoutError)
