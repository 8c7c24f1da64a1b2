"""The model test: random operations on a driver, compared step by step with the memory driver.

    from asynctasq.conformance.model import run_model

    def test_lives_like_the_memory_driver():
        run_model(lambda: MyDriver(namespace=f"test-{uuid4()}"))

The factory gives an unopened driver over an empty store, a new one for each example. Both drivers
are asked the same; every answer and, after every step, everything that can be seen of the stores
must agree. Time moves by `clock_offset` only, in steps of `UNIT` seconds, and times are compared
with a tolerance that is far smaller than a step and far larger than a test takes.

Needs hypothesis. `ASYNCTASQ_MODEL_EXAMPLES` sets the number of examples.
"""

import os
from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from asynctasq.conformance.model.machine import DriverModel
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver

__all__ = ["DriverModel", "run_model"]


def run_model(
    factory: Callable[[], Driver],
    *,
    capabilities: Capability | None = None,
    examples: int = 40,
    steps: int = 40,
) -> None:
    """Play `examples` times up to `steps` random operations.

    Args:
        factory: Gives an unopened driver over an empty store, a new one each time.
        capabilities: What to play; all that the driver has by default.
        examples: Overridden by the environment variable `ASYNCTASQ_MODEL_EXAMPLES`.
        steps: The most operations of one example.

    Raises:
        AssertionError: The driver answered otherwise than the memory driver. Hypothesis prints the
            shortest way there that it found.
        ConfigurationError: The driver lacks a capability without which nothing can be compared.
    """

    class Model(DriverModel):
        def make_driver(self) -> Driver:
            return factory()

    if capabilities is not None:
        Model.capabilities = capabilities
    run_state_machine_as_test(
        Model,
        settings=settings(
            max_examples=int(os.environ.get("ASYNCTASQ_MODEL_EXAMPLES", examples)),
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
