"""AWS sessions and credentials. This module imports the AWS client, so import it in a thread, at the first use.

The chain of credentials is that of botocore. It may read files, start programs and call other services, so it runs in
a thread, at the first use and for each refresh.
"""

import asyncio
from functools import cache
from typing import Any

import aioboto3
import aiobotocore.session
import botocore.session
from aiobotocore.credentials import AioCredentials
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import NoCredentialsError, NoRegionError
from botocore.loaders import create_loader

from asynctasq_sqs.settings import SQSSettings

SESSION_NAME = "asynctasq"
ANY_REGION = "us-east-1"


class ThreadedCredentials(AioCredentials):  # type: ignore[misc]  # the client has no types
    """Credentials of a chain that may block, for a client on an event loop."""

    def __init__(self, chain: Any) -> None:
        frozen = chain.get_frozen_credentials()
        super().__init__(frozen.access_key, frozen.secret_key, frozen.token, method=chain.method)
        self._chain = chain

    async def get_frozen_credentials(self) -> Any:
        """Return the current keys. If they are about to expire, a thread renews them."""
        needs_refresh = getattr(self._chain, "refresh_needed", None)
        if needs_refresh is None or not needs_refresh():
            return self._chain.get_frozen_credentials()
        return await asyncio.to_thread(self._chain.get_frozen_credentials)


def find_credentials(settings: SQSSettings) -> Any:
    """Return the credentials of the settings, or of the usual chain. It may block.

    Raises:
        NoCredentialsError: there are none.
        BotoCoreError: they cannot be retrieved, or the profile does not exist.
    """
    session = botocore.session.Session(profile=settings.profile)
    session.register_component("data_loader", _loader())
    if settings.region is not None:
        session.set_config_variable("region", settings.region)
    if settings.aws_access_key_id is not None:
        session.set_credentials(
            settings.aws_access_key_id, settings.aws_secret_access_key, settings.aws_session_token
        )
    chain = session.get_credentials()
    if chain is None:
        raise NoCredentialsError
    if settings.role_arn is not None:
        arguments = {"RoleSessionName": SESSION_NAME}
        if settings.external_id is not None:
            arguments["ExternalId"] = settings.external_id
        fetcher = AssumeRoleCredentialFetcher(
            session.create_client, chain, settings.role_arn, extra_args=arguments
        )
        chain = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
    return ThreadedCredentials(chain)


def make_session(settings: SQSSettings, credentials: Any) -> tuple[Any, str, str | None]:
    """Return a session for one event loop, its region, and its file of certificates, if it has one. It may block.

    Raises:
        NoRegionError: no region is set.
        BotoCoreError: the profile does not exist.
    """
    core = aiobotocore.session.AioSession(profile=settings.profile)
    core.register_component("data_loader", _loader())
    core.set_credentials("", "")
    core._credentials = credentials
    session = aioboto3.Session(botocore_session=core)
    region = settings.region or core.get_config_variable("region")
    if region is None:
        if settings.endpoint_url is None:
            raise NoRegionError
        region = ANY_REGION
    return session, str(region), core.get_config_variable("ca_bundle")


@cache
def _loader() -> Any:
    """Return the loader of service descriptions, which all sessions share because reading them takes long."""
    return create_loader()
