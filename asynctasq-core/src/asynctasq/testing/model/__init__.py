"""The model test: random operations on a driver, compared step by step with the memory driver.

    from asynctasq.testing.model import model_test_case

    TestModel = model_test_case(lambda: MyDriver(namespace=f"test-{uuid4()}"))

The factory gives an unopened driver over an empty store, a new one for each example. Both drivers
are asked the same; every answer and, after every step, everything that can be seen of the stores
must agree. Time moves by `clock_offset` only, in steps of `UNIT` seconds, and times are compared
with a tolerance that is far smaller than a step and far larger than a test takes.

Needs hypothesis. `ASYNCTASQ_MODEL_EXAMPLES` sets the number of examples.
"""

import os
import unittest
from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver
from asynctasq.testing.model.machine import DriverModel

__all__ = ["DriverModel", "model_test_case"]


def model_test_case(
    factory: Callable[[], Driver],
    *,
    capabilities: Capability | None = None,
    examples: int = 40,
    steps: int = 40,
) -> type[unittest.TestCase]:
    """A test case that plays `examples` times `steps` random operations.

    Args:
        factory: Gives an unopened driver over an empty store, a new one each time.
        capabilities: What to play; all that the driver has by default.
        examples: Overridden by the environment variable `ASYNCTASQ_MODEL_EXAMPLES`.
        steps: The most operations of one example.
    """
    chosen = settings(
        max_examples=int(os.environ.get("ASYNCTASQ_MODEL_EXAMPLES", examples)),
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )

    class Model(DriverModel):
        def make_driver(self) -> Driver:
            return factory()

    if capabilities is not None:
        Model.capabilities = capabilities

    class ModelTest(unittest.TestCase):
        def test_lives_like_the_memory_driver(self) -> None:
            run_state_machine_as_test(Model, settings=chosen)

    return ModelTest
