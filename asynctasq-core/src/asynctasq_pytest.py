"""The pytest plugin: fixtures for tests of tasks and drivers.

pytest imports this module on every start in each environment with asynctasq. It stays outside the
package, because `asynctasq.testing.pytest_plugin` would import the package, which takes 100 ms or
more. Here, asynctasq is imported when a test uses a fixture.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from asynctasq.testing import Clock, Sandbox, TcpProxy

MODES = ("off", "capture", "inline")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting `asynctasq_sandbox`."""
    parser.addini(
        "asynctasq_sandbox",
        "Run every test in a sandbox, so that no task reaches a store: off (only tests that use the "
        "fixtures), capture, or inline.",
        default="off",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Use the fixture in every test, unless the setting is `off`."""
    mode = config.getini("asynctasq_sandbox")
    if mode not in MODES:
        raise pytest.UsageError(
            f"asynctasq_sandbox must be {', '.join(MODES[:-1])} or {MODES[-1]}, got {mode}."
        )
    if mode != "off":
        config.pluginmanager.register(_Everywhere(), "asynctasq_sandbox_everywhere")


class _Everywhere:
    @pytest.fixture(autouse=True)
    def _asynctasq_everywhere(self, asynctasq_sandbox: "Sandbox") -> None:
        """Dispatch into a sandbox in every test."""


@pytest.fixture
def asynctasq_sandbox(pytestconfig: pytest.Config) -> "Iterator[Sandbox]":
    """Yield a sandbox that collects dispatched tasks: see `asynctasq.testing.Sandbox`."""
    from asynctasq.testing import Sandbox

    with Sandbox(inline=pytestconfig.getini("asynctasq_sandbox") == "inline") as sandbox:
        yield sandbox


@pytest.fixture
def asynctasq_inline(asynctasq_sandbox: "Sandbox") -> "Sandbox":
    """Return a sandbox in which `dispatch` runs the task at once."""
    asynctasq_sandbox.inline = True
    return asynctasq_sandbox


@pytest.fixture
def asynctasq_clock(asynctasq_sandbox: "Sandbox") -> "Clock":
    """Return the clock of the sandbox, which the test can move."""
    return asynctasq_sandbox.clock


@pytest.fixture
def asynctasq_proxy() -> "Iterator[Callable[[str], TcpProxy]]":
    """Yield a function that makes TCP proxies to a URL or `host:port`, to simulate failures."""
    from asynctasq.conformance import TcpProxy

    with ExitStack() as stack:

        def make(target: str) -> "TcpProxy":
            return stack.enter_context(TcpProxy(target))

        yield make
