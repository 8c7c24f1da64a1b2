"""Options of pytest for the tests of all distributions, wherever their files are."""

from zlib import crc32

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
    """Register the markers of long tests."""
    config.addinivalue_line("markers", "full: run the test with `--full` only, because it is long")
    config.addinivalue_line(
        "markers",
        "sampled(n): run about one of n of these tests, always the same, and with `--full` all",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that are for a run with `--full`, unless this is one."""
    if config.getoption("full"):
        return
    long = [item for item in items if _is_for_full_runs(item)]
    if long:
        config.hook.pytest_deselected(items=long)
        left_out = set(long)
        items[:] = [item for item in items if item not in left_out]


def _is_for_full_runs(item: pytest.Item) -> bool:
    if item.get_closest_marker("full") is not None:
        return True
    sampled = item.get_closest_marker("sampled")
    return sampled is not None and crc32(item.nodeid.encode()) % sampled.args[0] != 0
