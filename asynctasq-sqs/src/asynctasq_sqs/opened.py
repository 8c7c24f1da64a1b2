"""The parts of one opened driver."""

import os
from collections.abc import Callable
from typing import Self

from asynctasq.errors import DriverError
from asynctasq_sqs.client import Client, Session
from asynctasq_sqs.clock import Clock
from asynctasq_sqs.errors import DENIED, code_of
from asynctasq_sqs.leases import Shared
from asynctasq_sqs.queues import Queues
from asynctasq_sqs.receiving import Polls
from asynctasq_sqs.reserving import Reserving
from asynctasq_sqs.returning import Returning
from asynctasq_sqs.settings import SQSSettings
from asynctasq_sqs.settling import Settling

PROBED_QUEUE = "default"


class Opened:
    """The client of an event loop, and what works with it."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self.process = os.getpid()
        self.client = client
        self.clock = clock
        self.queues = Queues(client)
        self.settling = Settling(client, self.queues, clock)
        returning = Returning(self.settling)
        self.polls = Polls(client, self.queues, returning.give_back)
        self.reserving = Reserving(self.settling, self.polls, returning)

    @classmethod
    async def make(
        cls,
        settings: SQSSettings,
        shared: Shared,
        session: Session | None,
        offset: Callable[[], float],
    ) -> Self:
        """Return the parts, once the service has answered a call.

        Raises:
            DriverUnavailable: the service cannot be reached.
            DriverError: it refuses the credentials, for example.
        """
        client = Client(settings, settings.description, shared, session)
        opened = cls(client, Clock(offset))
        try:
            await client.open()
            await opened._probe()
        except BaseException:
            await client.close()
            raise
        return opened

    async def _probe(self) -> None:
        """Look up a queue, which needs not exist, and check the queues that settings name."""
        named = tuple(self.client.settings.queue_names)
        try:
            for queue in named:
                await self.queues.source_url(queue, creates=False)
            if not named:
                await self.queues.existing_url(PROBED_QUEUE)
        except DriverError as error:
            if code_of(error.__cause__ or error) not in DENIED:
                raise

    async def close(self) -> None:
        """Wait for long polls under way, give back their messages, and close the connections."""
        if not self.client.is_here:
            return
        try:
            await self.polls.close(self.client.settings.close_wait)
        finally:
            await self.client.close()
