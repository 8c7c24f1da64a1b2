"""The rules of the driver contract on the stand-in: with a moved clock, and in real time with `--full`."""

import pytest

from asynctasq.conformance import DriverConformance
from asynctasq.contracts.driver import Driver
from asynctasq_sqs import SQSDriver
from tests.servers.moto_driver import SETTINGS, MovableClock, new_namespace


class OnStandIn(DriverConformance):
    """A suite on the stand-in that all tests share."""

    durable = True
    capabilities = SQSDriver.capabilities
    check_timeout = 120.0

    url: str

    @pytest.fixture(autouse=True)
    def _server(self, url: str) -> None:
        self.url = url


@pytest.mark.sampled(2)
class TestSQS(OnStandIn):
    """With a clock that tests move."""

    def make_driver(self) -> Driver:
        return MovableClock.at(self.url)


@pytest.mark.full
class TestSQSInRealTime(OnStandIn):
    """As `asynctasq drivers check` checks a queue of AWS."""

    clock_is_movable = SQSDriver.clock_is_movable

    def make_driver(self) -> Driver:
        return SQSDriver(**SETTINGS, endpoint_url=self.url, namespace=new_namespace())
