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


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of long tests."""
    config.addinivalue_line("markers", "full: run the test with `--full` only, because it is long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that are marked as `full`, unless `--full` is given."""
    if config.getoption("full"):
        return
    long = [item for item in items if item.get_closest_marker("full")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("full")]
