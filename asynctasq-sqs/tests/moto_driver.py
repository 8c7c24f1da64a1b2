"""The driver on the stand-in for SQS, whose clock tests can move."""

import urllib.request
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
    known_failures = {
        "years_ahead": "SQS keeps messages for 14 days at most",
    }

    @property
    def clock_offset(self) -> float:
        return SQSDriver.clock_offset.fget(self)  # type: ignore[attr-defined, no-any-return]

    @clock_offset.setter
    def clock_offset(self, seconds: float) -> None:
        SQSDriver.clock_offset.fset(self, seconds)  # type: ignore[attr-defined]
        prefix = sqs_name(self.settings.namespace, "")
        query = urlencode({"prefix": prefix, "offset": str(seconds)})
        with urllib.request.urlopen(
            f"{self.settings.endpoint_url}/control/clock?{query}", timeout=30
        ):
            pass
