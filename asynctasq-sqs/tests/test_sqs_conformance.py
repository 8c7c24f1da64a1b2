"""The rules of the driver contract on the stand-in: with a moved clock, and in real time with `--full`."""

from uuid import uuid4

import pytest

from asynctasq.conformance import DriverConformance
from asynctasq.contracts.driver import Driver
from asynctasq_sqs import SQSDriver
from tests.servers.moto_driver import SETTINGS, MovableClock


class TestSQS(DriverConformance):
    """With a clock that tests move."""

    durable = True
    capabilities = SQSDriver.capabilities
    check_timeout = 120.0

    url: str

    @pytest.fixture(autouse=True)
    def _server(self, url: str) -> None:
        self.url = url

    def make_driver(self) -> Driver:
        return MovableClock(**SETTINGS, endpoint_url=self.url, namespace=f"t{uuid4().hex[:12]}")


@pytest.mark.full
class TestSQSInRealTime(DriverConformance):
    """As `asynctasq drivers check` checks a queue of AWS."""

    durable = True
    capabilities = SQSDriver.capabilities
    clock_is_movable = SQSDriver.clock_is_movable
    check_timeout = 120.0

    url: str

    @pytest.fixture(autouse=True)
    def _server(self, url: str) -> None:
        self.url = url

    def make_driver(self) -> Driver:
        return SQSDriver(**SETTINGS, endpoint_url=self.url, namespace=f"t{uuid4().hex[:12]}")
