"""The settings of the RabbitMQ driver."""

import re
import ssl
from dataclasses import fields
from typing import ClassVar, Literal, TypeAlias, get_args

from asynctasq.contracts.capabilities import DEAD_LETTER_LIMIT, DEAD_LETTER_TTL_SECONDS
from asynctasq.driverkit.tls import client_context
from asynctasq.driverkit.url_settings import (
    Converters,
    check_amount,
    check_parameter_names,
    check_type,
    flag,
    split_query,
    url_settings,
    without_query,
)
from asynctasq.errors import ConfigurationError
from asynctasq.message import QUEUE_NAME
from asynctasq.records import record
from asynctasq_rabbitmq.addresses import Address, described, parse_address

DEFAULT_URL = "amqp://localhost:5672/"

QueueType: TypeAlias = Literal["quorum", "classic"]
Delays: TypeAlias = Literal["levels", "off"]

_NAMESPACE = re.compile("[A-Za-z0-9_.:-]{1,80}")
_CHOICES = {"queue_type": QueueType, "delays": Delays}
_NOT_NEGATIVE = ("dead_letter_ttl", "dead_letter_limit")
_POSITIVE = (
    "port", "timeout", "connect_timeout", "heartbeat", "consumer_timeout", "max_message_bytes",
)  # fmt: skip


@record
class RabbitMQSettings:
    """Settings of `RabbitMQDriver`."""

    section: ClassVar[str] = "rabbitmq"
    """The section, for all schemes of URLs."""

    url: str = DEFAULT_URL
    """`amqp://user:password@host:5672/virtual_host`, or `amqps://` with TLS. Special characters of a password may
    be percent-encoded. Settings may follow as parameters: `?namespace=shop`."""
    host: str | None = None
    """The host. Overrides that of the URL."""
    port: int | None = None
    """The port. Overrides that of the URL."""
    username: str | None = None
    """The user name. Overrides that of the URL."""
    password: str | None = None
    """The password. Overrides that of the URL."""
    virtual_host: str | None = None
    """The virtual host. Overrides that of the URL."""
    namespace: str = "asynctasq"
    """Beginning of the names of all queues. Applications with different namespaces can share a virtual host."""
    queue_type: QueueType = "quorum"
    """Type of the queues that are created: `quorum` (replicated, for clusters) or `classic` (faster)."""
    priorities: bool = False
    """True to order queues by priority. Needs `queue_type = "classic"`, or quorum queues on RabbitMQ 4.3."""
    delays: Delays = "levels"
    """`levels` creates the exchanges and queues for delays in the virtual host; `off` refuses delays."""
    queues: str = ""
    """Names of queues that `asynctasq migrate` creates beforehand, separated by commas. Needed only for users
    without the right to create queues."""
    consumer_timeout: float = 1800.0
    """Seconds after which the broker ends a consumer whose message is not acknowledged, as the broker is
    configured (`consumer_timeout`). Longer tasks are kept in another queue before."""
    heartbeat: int = 15
    """Seconds between signs of life. A worker whose machine fails loses its leases after twice this time."""
    timeout: float = 20.0
    """Seconds to wait for an answer before a call fails and is repeated."""
    connect_timeout: float = 5.0
    """Seconds to wait for a connection."""
    max_message_bytes: int = 16 << 20
    """Largest message that the broker accepts, as it is configured (`max_message_size`)."""
    dead_letter_ttl: float = DEAD_LETTER_TTL_SECONDS
    """Seconds for which dead letters are kept. Applies to queues that are created."""
    dead_letter_limit: int = DEAD_LETTER_LIMIT
    """Number of dead letters that each queue keeps: the newest. Applies to queues that are created."""
    tls: bool = False
    """True to encrypt connections. Set by `amqps://`, and by any other setting whose name begins with `tls`."""
    tls_ca: str | None = None
    """File of trusted certificate authorities. Overrides those of the system."""
    tls_certificate: str | None = None
    """File of the client certificate."""
    tls_key: str | None = None
    """File of the key of the client certificate."""
    tls_verify: bool = True
    """True to verify the certificate of the server. Without verification, others can read the traffic."""

    def __post_init__(self) -> None:
        for each in fields(self):
            if each.name not in _CHOICES:
                check_type(f"rabbitmq.{each.name}", getattr(self, each.name), each.type)
        if not _NAMESPACE.fullmatch(self.namespace):
            raise ConfigurationError(
                "rabbitmq.namespace must have 1 to 80 letters, digits and characters of `_.:-`, got "
                f"{self.namespace!r}."
            )
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in get_args(choices):
                raise ConfigurationError(
                    f"rabbitmq.{name} must be one of {', '.join(get_args(choices))}, got "
                    f"{getattr(self, name)!r}."
                )
        for name in (*_NOT_NEGATIVE, *_POSITIVE):
            check_amount(f"rabbitmq.{name}", getattr(self, name), positive=name in _POSITIVE)
        for queue in self.queue_names():
            if not QUEUE_NAME.fullmatch(queue):
                raise ConfigurationError(
                    f"rabbitmq.queues must be names of queues, separated by commas, got {queue!r}."
                )
        self.address()

    def __repr__(self) -> str:
        """Return a text without passwords, for logs."""
        return f"{type(self).__qualname__}({described(self.address(), self.namespace)})"

    def queue_names(self) -> list[str]:
        """Return the queues to create beforehand."""
        return [name.strip() for name in self.queues.split(",") if name.strip()]

    def address(self) -> Address:
        """Return the address of the broker, with the credentials.

        Raises:
            ConfigurationError: the URL is not an address of a broker, or has parameters.
        """
        found = parse_address(without_query(self.url, setting="rabbitmq.url"))
        return Address(
            self.host if self.host is not None else found.host,
            self.port if self.port is not None else found.port,
            self.username if self.username is not None else found.username,
            self.password if self.password is not None else found.password,
            self.virtual_host if self.virtual_host is not None else found.virtual_host,
            found.tls or self.tls,
        )

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the context of encrypted connections; None if they are not encrypted.

        Raises:
            ConfigurationError: a file of the settings cannot be read.
        """
        if not (self.address().tls or self.tls_ca or self.tls_certificate or not self.tls_verify):
            return None
        return client_context(
            "rabbitmq",
            ca=self.tls_ca,
            certificate=self.tls_certificate,
            key=self.tls_key,
            verify=self.tls_verify,
        )

    @staticmethod
    def from_url(url: str) -> dict[str, object]:
        """Return the settings that a URL contains.

        Raises:
            ConfigurationError: a part of the URL is not valid.
        """
        check_type("rabbitmq.url", url, str)
        base, parameters = split_query(url)
        parse_address(base)
        check_parameter_names(parameters, url="rabbitmq.url")
        return {"url": base, **url_settings(parameters, _URL_PARAMETERS, url="rabbitmq.url")}


_URL_PARAMETERS: Converters = {
    "host": str,
    "port": int,
    "username": str,
    "password": str,
    "virtual_host": str,
    "namespace": str,
    "queue_type": str,
    "priorities": flag,
    "delays": str,
    "queues": str,
    "consumer_timeout": float,
    "heartbeat": int,
    "timeout": float,
    "connect_timeout": float,
    "max_message_bytes": int,
    "dead_letter_ttl": float,
    "dead_letter_limit": int,
    "tls": flag,
    "tls_ca": str,
    "tls_certificate": str,
    "tls_key": str,
    "tls_verify": flag,
}
