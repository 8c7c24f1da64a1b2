"""Options of pytest for the tests of all distributions, wherever their files are."""

import pytest

pytest_plugins = ["tests.stores"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--full`, which `config.getoption("full")` returns as a bool."""
    parser.addoption(
        "--full",
        action="store_true",
        dest="full",
        help="run full products, such as every test of the worker on every store",
    )
