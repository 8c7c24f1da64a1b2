"""The pytest plugin: fixtures for tests of tasks, and of drivers.

It is a module of its own because pytest imports it at every start, wherever asynctasq is installed:
nothing of asynctasq is imported before a test asks for it.
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
        "Run every test in a sandbox, so that none dispatches to a store: off (only those that ask "
        "for it by a fixture), capture, or inline.",
        default="off",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the fixture automatic, if the setting says so."""
    mode = config.getini("asynctasq_sandbox")
    if mode not in MODES:
        raise pytest.UsageError(f"asynctasq_sandbox = {mode}: use {', '.join(MODES)}.")
    if mode != "off":
        config.pluginmanager.register(_Everywhere(), "asynctasq_sandbox_everywhere")


class _Everywhere:
    @pytest.fixture(autouse=True)
    def _asynctasq_everywhere(self, asynctasq_sandbox: "Sandbox") -> None:
        """Every test dispatches into a sandbox."""


@pytest.fixture
def asynctasq_sandbox(pytestconfig: pytest.Config) -> "Iterator[Sandbox]":
    """What the code under test dispatches stays here: see `asynctasq.testing.Sandbox`."""
    from asynctasq.testing import Sandbox

    with Sandbox(inline=pytestconfig.getini("asynctasq_sandbox") == "inline") as sandbox:
        yield sandbox


@pytest.fixture
def asynctasq_inline(asynctasq_sandbox: "Sandbox") -> "Sandbox":
    """A sandbox in which `dispatch` runs the task at once."""
    asynctasq_sandbox.inline = True
    return asynctasq_sandbox


@pytest.fixture
def asynctasq_clock(asynctasq_sandbox: "Sandbox") -> "Clock":
    """The time in the sandbox, which a test can move."""
    return asynctasq_sandbox.clock


@pytest.fixture
def asynctasq_proxy() -> "Iterator[Callable[[str], TcpProxy]]":
    """Makes TCP proxies to a URL or `host:port`, which can be told to fail; closed after the test."""
    from asynctasq.conformance import TcpProxy

    with ExitStack() as stack:

        def make(target: str) -> "TcpProxy":
            return stack.enter_context(TcpProxy(target))

        yield make
