"""The queues in SQS: their URLs, their creation, and settings that lose messages."""

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from asynctasq.errors import DriverError
from asynctasq.records import record
from asynctasq_sqs import names
from asynctasq_sqs.client import Client
from asynctasq_sqs.errors import DENIED, EXISTS_OTHERWISE, QueueMissing, code_of

logger = logging.getLogger("asynctasq.sqs")

RETENTION = 1_209_600
"""Seconds for which SQS keeps a message at most: 14 days."""
ATTRIBUTES: Mapping[str, str] = {
    "MessageRetentionPeriod": str(RETENTION),
    "VisibilityTimeout": "30",
    "ReceiveMessageWaitTimeSeconds": "0",
}
FIFO_ATTRIBUTES: Mapping[str, str] = {
    "FifoQueue": "true",
    "ContentBasedDeduplication": "false",
    "DeduplicationScope": "messageGroup",
    "FifoThroughputLimit": "perMessageGroupId",
}
MISSING_SECONDS = 1.0
"""Seconds for which a queue that does not exist is not looked up again by `reserve`."""
WARNING_SECONDS = 60.0


@record
class Sizes:
    """Estimated numbers of messages of a queue in SQS."""

    ready: int = 0
    scheduled: int = 0
    leased: int = 0


class Queues:
    """Finds and creates queues for one opened driver."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._settings = client.settings
        self._urls = client.shared.urls
        self._missing: dict[str, float] = {}
        self._warned: dict[str, float] = {}

    def name(self, queue: str) -> str:
        """Return the name of a work queue in SQS."""
        return self._settings.queue_names.get(queue) or names.sqs_name(
            self._settings.namespace, queue
        )

    def dead_name(self, queue: str) -> str:
        """Return the name of the queue of dead letters of a queue."""
        given = self._settings.queue_names.get(queue)
        return (
            names.dead_name_beside(given)
            if given
            else names.dead_name(self._settings.namespace, queue)
        )

    def is_fifo(self, queue: str) -> bool:
        """Return whether a queue keeps the order of each group."""
        return names.is_fifo(self.name(queue))

    async def url(self, queue: str) -> str:
        """Return the URL of a work queue, which is created if it is missing and may be created.

        Raises:
            QueueMissing: it does not exist, and `create_queues` is off.
            DriverUnavailable: the service cannot be reached.
            DriverError: the service refused the call.
        """
        name = self.name(queue)
        found = await self._find(name)
        if found is not None:
            return found
        if not self._settings.create_queues:
            raise QueueMissing(self._missing_text(queue, name))
        url = await self._create(name)
        await self.dead_url(queue)
        return url

    async def dead_url(self, queue: str) -> str:
        """Return the URL of the queue of dead letters. Raises as `url` does."""
        name = self.dead_name(queue)
        found = await self._find(name)
        if found is not None:
            return found
        if not self._settings.create_queues:
            raise QueueMissing(self._missing_text(f"{queue} (dead letters)", name))
        return await self._create(name)

    async def existing_url(self, queue: str, *, is_dead: bool = False) -> str | None:
        """Return the URL of a queue, or None if it does not exist. It is not created."""
        name = self.dead_name(queue) if is_dead else self.name(queue)
        if self._missing.get(name, 0.0) > time.monotonic():
            return None
        found = await self._find(name)
        if found is None:
            self._missing[name] = time.monotonic() + MISSING_SECONDS
        return found

    async def source_url(self, queue: str, *, creates: bool) -> str | None:
        """Return the URL of a queue that a worker reads, or None while it does not exist.

        A missing queue must not keep a worker from its other queues, so it is only logged.
        """
        url = await self.existing_url(queue)
        if url is None and self._settings.create_queues and creates:
            url = await self.url(queue)
        if url is not None:
            await self._inspect(queue, url)
        elif not self._settings.create_queues:
            now, name = time.monotonic(), self.name(queue)
            if self._warned.get(name, 0.0) <= now:
                self._warned[name] = now + WARNING_SECONDS
                logger.error("%s", self._missing_text(queue, name), extra={"queue": queue})
        return url

    async def sizes(self, queue: str, *, is_dead: bool = False) -> Sizes:
        """Return the estimated sizes of a queue; zeros if it does not exist."""
        url = await self.existing_url(queue, is_dead=is_dead)
        if url is None:
            return Sizes()
        try:
            answer = await self._client.call(
                "get_queue_attributes",
                QueueUrl=url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesDelayed",
                    "ApproximateNumberOfMessagesNotVisible",
                ],
            )
        except QueueMissing:
            self.forget(queue)
            return Sizes()
        found = answer.get("Attributes", {})
        return Sizes(
            int(found.get("ApproximateNumberOfMessages", 0)),
            int(found.get("ApproximateNumberOfMessagesDelayed", 0)),
            int(found.get("ApproximateNumberOfMessagesNotVisible", 0)),
        )

    async def discard(self, queue: str) -> None:
        """Delete a queue and its dead letters, as far as they exist."""
        for is_dead in (False, True):
            url = await self.existing_url(queue, is_dead=is_dead)
            if url is not None:
                with suppress(QueueMissing):
                    await self._client.call("delete_queue", QueueUrl=url)
        self.forget(queue)

    def forget(self, queue: str) -> None:
        """Forget the URLs of a queue that was deleted."""
        self._urls.pop(self.name(queue), None)
        self._urls.pop(self.dead_name(queue), None)

    def _missing_text(self, queue: str, name: str) -> str:
        return (
            f"{self._client.place} has no queue {name!r}, which is the queue {queue!r} here. Create it, check the "
            "region and `queue_names`, or set `create_queues` to true."
        )

    async def _find(self, name: str) -> str | None:
        if name in self._urls:
            return self._urls[name]
        if self._settings.queue_url_prefix is not None:
            url = f"{self._settings.queue_url_prefix.rstrip('/')}/{name}"
        else:
            try:
                answer = await self._client.call("get_queue_url", QueueName=name)
            except QueueMissing:
                return None
            url = self._reachable(answer["QueueUrl"])
        self._urls[name] = url
        return url

    async def _create(self, name: str) -> str:
        attributes = {**ATTRIBUTES, **(FIFO_ATTRIBUTES if names.is_fifo(name) else {})}
        try:
            answer = await self._client.call("create_queue", QueueName=name, Attributes=attributes)
        except DriverError as error:
            if code_of(error.__cause__ or error) not in EXISTS_OTHERWISE:
                raise
            # Another process created it with other attributes in the meantime.
            answer = await self._client.call("get_queue_url", QueueName=name)
        logger.info("Created the queue %s", name, extra={"sqs_queue": name})
        self._missing.pop(name, None)
        url = self._urls[name] = self._reachable(answer["QueueUrl"])
        return url

    def _reachable(self, url: str) -> str:
        """Return the URL of a queue with the host of the endpoint."""
        endpoint = self._settings.endpoint_url
        if endpoint is None or not self._settings.endpoint_hosts:
            return url
        parts = urlsplit(endpoint)
        return urlsplit(url)._replace(scheme=parts.scheme, netloc=parts.netloc).geturl()

    async def _inspect(self, queue: str, url: str) -> None:
        """Warn of settings of a queue that lose messages, once."""
        shared = self._client.shared
        if queue in shared.inspected:
            return
        shared.inspected.add(queue)
        try:
            answer = await self._client.call(
                "get_queue_attributes",
                QueueUrl=url,
                AttributeNames=["RedrivePolicy", "MessageRetentionPeriod"],
            )
        except DriverError as error:
            if code_of(error.__cause__ or error) not in DENIED:
                shared.inspected.discard(queue)
            return
        for warning in warnings_of(answer.get("Attributes", {})):
            logger.warning(
                "The SQS queue %s %s",
                self.name(queue),
                warning,
                extra={"queue": queue, "sqs_queue": self.name(queue)},
            )


def warnings_of(attributes: Mapping[str, Any]) -> list[str]:
    """Return the settings of a queue that lose messages, as the ends of sentences."""
    found: list[str] = []
    if attributes.get("RedrivePolicy"):
        found.append(
            "has a redrive policy. It moves messages by receive count, also those that were only released or are "
            "delayed. Remove it: asynctasq moves dead letters itself."
        )
    retention = int(attributes.get("MessageRetentionPeriod", RETENTION))
    if retention < RETENTION:
        found.append(
            f"keeps messages for {retention} s only. Set MessageRetentionPeriod to {RETENTION} s (14 days), the "
            "most that SQS allows."
        )
    return found
