"""The settings of the SQS driver."""

import re
from collections.abc import Mapping
from dataclasses import field, fields
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from asynctasq.driverkit.url_settings import (
    Converters,
    check_amount,
    check_parameter_names,
    check_type,
    flag,
    split_query,
    url_settings,
)
from asynctasq.errors import ConfigurationError
from asynctasq.records import record

MIB = 1 << 20
LEAST_MESSAGE_BYTES = 8 << 10
LONGEST_POLL = 20.0
"""Seconds. SQS allows no more."""
_NAMESPACE = re.compile(r"[A-Za-z0-9_.-]{0,40}")
_SQS_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo")
_POSITIVE = ("max_message_bytes", "long_poll", "timeout", "connect_timeout", "max_connections")


@record
class SQSSettings:
    """Settings of `SQSDriver`."""

    region: str | None = None
    """The AWS region, for example `eu-central-1`. By default, that of the environment or the profile."""
    namespace: str = "asynctasq"
    """Beginning of the names of all queues. Applications with different namespaces share no queue."""
    endpoint_url: str | None = None
    """Address of another service than AWS, such as LocalStack or ElasticMQ, or of a VPC endpoint."""
    profile: str | None = None
    """The profile in the files of ~/.aws."""
    aws_access_key_id: str | None = None
    """The key, if it does not come from the environment, a profile or a role."""
    aws_secret_access_key: str | None = None
    """The secret of the key."""
    aws_session_token: str | None = None
    """The session token of a temporary key."""
    role_arn: str | None = None
    """A role to assume with the credentials."""
    external_id: str | None = None
    """The external ID that the role requires."""
    queue_names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Names in SQS of queues that you have created yourself, by their names in asynctasq."""
    queue_url_prefix: str | None = None
    """Beginning of the URLs of all queues, for example `https://sqs.eu-central-1.amazonaws.com/123456789012/`.
    With it, no URL is looked up. It also reaches queues of another account."""
    create_queues: bool = True
    """True to create missing queues, each with a queue for its dead letters."""
    max_message_bytes: int = MIB
    """Largest message, and largest batch, that the service accepts."""
    long_poll: float = LONGEST_POLL
    """Seconds for which an idle worker's call waits for messages at the service: 1 to 20."""
    close_wait: float = LONGEST_POLL
    """Seconds to wait, when the driver closes, for such calls that are still under way."""
    timeout: float = 10.0
    """Seconds to wait for an answer before a call fails and is repeated."""
    connect_timeout: float = 5.0
    """Seconds to wait for a connection."""
    max_connections: int = 50
    """Maximum number of connections for each event loop of a process."""
    endpoint_hosts: bool = True
    """With `endpoint_url`: replace the host in the URLs of queues, which such services often report wrong."""

    def __post_init__(self) -> None:
        for each in fields(self):
            kind = Mapping if each.name == "queue_names" else each.type
            check_type(f"sqs.{each.name}", getattr(self, each.name), kind)
        for name in (*_POSITIVE, "close_wait"):
            check_amount(f"sqs.{name}", getattr(self, name), positive=name in _POSITIVE)
        if not _NAMESPACE.fullmatch(self.namespace):
            raise ConfigurationError(
                "sqs.namespace must have at most 40 letters, digits, dots, dashes and underscores, got "
                f"{self.namespace!r}."
            )
        if not 1 <= self.long_poll <= LONGEST_POLL:
            raise ConfigurationError(
                f"sqs.long_poll must be between 1 and 20 seconds, got {self.long_poll!r}."
            )
        if self.max_message_bytes < LEAST_MESSAGE_BYTES:
            raise ConfigurationError(
                f"sqs.max_message_bytes must be at least {LEAST_MESSAGE_BYTES}, got {self.max_message_bytes!r}."
            )
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ConfigurationError(
                "sqs.aws_access_key_id and sqs.aws_secret_access_key must be set together."
            )
        for name, url in (
            ("endpoint_url", self.endpoint_url),
            ("queue_url_prefix", self.queue_url_prefix),
        ):
            if url is not None and not url.startswith(("http://", "https://")):
                raise ConfigurationError(
                    f"sqs.{name} must begin with http:// or https://, got {url!r}."
                )
        _check_queue_names(self.queue_names)

    def __repr__(self) -> str:
        """Return a text without secrets, for logs."""
        return f"{type(self).__qualname__}({self.description})"

    @property
    def description(self) -> str:
        """The place of the queues, for logs: a URL without secrets."""
        place = f"sqs://{self.region or ''}/{self.namespace}"
        return f"{place}?endpoint_url={self.endpoint_url}" if self.endpoint_url else place

    @staticmethod
    def from_url(url: str) -> dict[str, object]:
        """Return the settings that a URL contains.

        `sqs://`, `sqs://eu-central-1` or `sqs://eu-central-1/namespace`, each with settings as parameters:
        `sqs://?endpoint_url=http://localhost:4566`.

        Raises:
            ConfigurationError: a part of the URL is not valid.
        """
        check_type("sqs.url", url, str)
        base, parameters = split_query(url)
        check_parameter_names(parameters, url="sqs.url")
        parts = urlsplit(base)
        if parts.username is not None or parts.password is not None:
            raise ConfigurationError(
                "The URL of sqs must not have a user. Set aws_access_key_id and aws_secret_access_key as settings."
            )
        settings: dict[str, object] = {}
        if parts.netloc:
            settings["region"] = unquote(parts.netloc)
        if namespace := unquote(parts.path.strip("/")):
            settings["namespace"] = namespace
        return {**settings, **url_settings(parameters, _URL_PARAMETERS, url="sqs.url")}


def _check_queue_names(names: Mapping[str, str]) -> None:
    for ours, theirs in names.items():
        if (
            not isinstance(ours, str)
            or not isinstance(theirs, str)
            or not _SQS_NAME.fullmatch(theirs)
        ):
            raise ConfigurationError(
                f"sqs.queue_names must map names of queues to names in SQS, got {ours!r}: {theirs!r}. Use 1 to 80 "
                "letters, digits, dashes and underscores."
            )
    if len(set(names.values())) < len(names):
        raise ConfigurationError(
            "sqs.queue_names must not map two queues to the same queue of SQS."
        )


_URL_PARAMETERS: Converters = {
    "region": str,
    "namespace": str,
    "endpoint_url": str,
    "profile": str,
    "aws_access_key_id": str,
    "aws_secret_access_key": str,
    "aws_session_token": str,
    "role_arn": str,
    "external_id": str,
    "queue_url_prefix": str,
    "create_queues": flag,
    "max_message_bytes": int,
    "long_poll": float,
    "close_wait": float,
    "timeout": float,
    "connect_timeout": float,
    "max_connections": int,
    "endpoint_hosts": flag,
}
