"""A stand-in for SQS as a store on which the tests of all distributions run: see `tests/stores.py`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest

from asynctasq_sqs import SQSDriver
from tests.servers.moto_driver import SETTINGS, MovableClock
from tests.servers.shared import shared_url
from tests.stores import Store, StoreKind


@contextmanager
def _namespace(_: Path, factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a namespace that no other test uses, on the shared server."""
    settings: dict[str, Any] = {
        **SETTINGS,
        "endpoint_url": shared_url("sqs", factory),
        "namespace": f"t{uuid4().hex[:12]}",
    }
    yield Store(
        f"sqs://?{urlencode(settings)}", lambda: MovableClock(**settings), SQSDriver.capabilities
    )


KIND = StoreKind("sqs", _namespace)
