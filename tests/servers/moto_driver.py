"""The driver on the stand-in for SQS, whose clock tests can move."""

import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from asynctasq_sqs import SQSDriver
from asynctasq_sqs.names import sqs_name

SETTINGS: dict[str, Any] = {
    "region": "eu-central-1",
    "aws_access_key_id": "test",
    "aws_secret_access_key": "test",
    "long_poll": 1.0,
}


class MovableClock(SQSDriver):
    """An SQS driver that moves the clock of the queues of its namespace at the stand-in, too."""

    clock_is_movable = True
    control_url: str | None = None
    """The stand-in itself, if `endpoint_url` is a proxy before it."""
    known_failures: Mapping[str, str] = {
        "years_ahead": "SQS keeps a message for 14 days at most",
    } | dict.fromkeys(
        (
            "delivery_says_when_it_was_due",
            "own_leases_are_renewed_before_others_are_reclaimed",
            "no_lease_is_reclaimed_right_after_an_outage",
            "extend_notices_an_outage_too",
            "leases_can_be_renewed_during_the_pause",
            "a_lease_on_its_way_outlives_a_jump_of_the_clock",
            "a_lease_that_never_arrived_is_released_after_the_pause",
            "an_instance_opened_later_knows_of_the_pause",
            "the_last_call_is_known_after_reopening",
            "the_rest_of_upkeep_goes_on_during_the_pause",
            "wait_wakes_when_the_pause_ends",
        ),
        "SQS ends leases by its own clock, also right after an outage",
    )

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
