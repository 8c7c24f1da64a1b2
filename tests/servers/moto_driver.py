"""The driver on the stand-in for SQS, whose clock tests can move."""

import urllib.request
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlencode
from uuid import uuid4

from asynctasq_sqs import SQSDriver
from asynctasq_sqs.names import sqs_name

SETTINGS: dict[str, Any] = {
    "region": "eu-central-1",
    "aws_access_key_id": "test",
    "aws_secret_access_key": "test",
    "long_poll": 1.0,
}


def new_namespace() -> str:
    """Return a namespace that no other test uses."""
    return f"t{uuid4().hex[:12]}"


def url_of(address: str, namespace: str, **more: str) -> str:
    """Return the URL of a driver on the stand-in."""
    settings = {**SETTINGS, "endpoint_url": address, "namespace": namespace, **more}
    return f"sqs://?{urlencode(settings)}"


REASON = "SQS ends leases by its own clock, also right after an outage"
ENDS_LEASES: Mapping[str, str] = dict.fromkeys(
    (
        "no_lease_is_reclaimed_right_after_an_outage",
        "extend_notices_an_outage_too",
        "an_instance_opened_later_knows_of_the_pause",
        "the_rest_of_upkeep_goes_on_during_the_pause",
        "ended_leases_of_the_caller_reveal_an_outage",
        "wait_wakes_when_the_pause_ends",
    ),
    REASON,
)
"""Checks that fail with a state store, too, which knows of the outage, but does not have the leases."""


class MovableClock(SQSDriver):
    """An SQS driver that moves the clock of the queues of its namespace at the stand-in, too."""

    clock_is_movable = True

    control_url: str | None = None
    """The stand-in itself, if `endpoint_url` is a proxy before it."""
    known_failures: Mapping[str, str] = {
        "years_ahead": "SQS keeps a message for 14 days at most",
        **ENDS_LEASES,
        **dict.fromkeys(
            (
                "own_leases_are_renewed_before_others_are_reclaimed",
                "leases_can_be_renewed_during_the_pause",
                "a_lease_on_its_way_outlives_a_jump_of_the_clock",
                "a_lease_that_never_arrived_is_released_after_the_pause",
                "the_last_call_is_known_after_reopening",
            ),
            REASON,
        ),
    }

    @classmethod
    def at(cls, address: str, namespace: str | None = None) -> Self:
        """Return an unopened driver on the stand-in, in a namespace of its own if none is given."""
        return cls(**SETTINGS, endpoint_url=address, namespace=namespace or new_namespace())

    @property
    def clock_offset(self) -> float:
        return super().clock_offset

    @clock_offset.setter
    def clock_offset(self, seconds: float) -> None:
        inherited: Any = SQSDriver.clock_offset
        inherited.fset(self, seconds)
        prefix = sqs_name(self.settings.namespace, "")
        query = urlencode({"prefix": prefix, "offset": str(seconds)})
        address = self.control_url or self.settings.endpoint_url
        with urllib.request.urlopen(f"{address}/control/clock?{query}", timeout=30):
            pass
