"""`from asynctasq.drivers.redis_driver import RedisDriver`, with and without the distribution."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

DRIVERS = {
    "redis": "RedisDriver",
    "postgres": "PostgresDriver",
    "mysql": "MySQLDriver",
    "sqs": "SQSDriver",
    "rabbitmq": "RabbitMQDriver",
}

each_driver = pytest.mark.parametrize(("name", "driver_class"), DRIVERS.items())


@pytest.fixture(autouse=True)
def _fresh_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Siblings of this test only: those in `tmp_path`."""

    def forget() -> None:
        for name in DRIVERS:
            for module in [f"asynctasq.drivers.{name}_driver", f"asynctasq_{name}"]:
                sys.modules.pop(module, None)

    before = sys.modules.copy()
    forget()
    monkeypatch.syspath_prepend(tmp_path)
    yield
    forget()
    sys.modules |= before


@each_driver
def test_the_path_leads_to_the_siblings_class(name: str, driver_class: str, tmp_path: Path) -> None:
    (tmp_path / f"asynctasq_{name}.py").write_text(f"class {driver_class}: pass\n")
    module = importlib.import_module(f"asynctasq.drivers.{name}_driver")
    assert getattr(module, driver_class).__module__ == f"asynctasq_{name}"


@each_driver
@pytest.mark.usefixtures("no_siblings")
def test_the_error_for_a_missing_sibling_names_the_command_that_installs_it(
    name: str, driver_class: str
) -> None:
    remedy = rf"pip install 'asynctasq\[{name}\]'"
    with pytest.raises(ModuleNotFoundError, match=remedy):
        importlib.import_module(f"asynctasq.drivers.{name}_driver")


@each_driver
def test_a_broken_sibling_shows_its_own_error(name: str, driver_class: str, tmp_path: Path) -> None:
    (tmp_path / f"asynctasq_{name}.py").write_text("import some_client_that_is_missing\n")
    with pytest.raises(ModuleNotFoundError, match="some_client_that_is_missing") as caught:
        importlib.import_module(f"asynctasq.drivers.{name}_driver")
    assert "pip install" not in str(caught.value)


@pytest.fixture
def no_siblings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide siblings that are installed."""

    class Hidden:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name in {f"asynctasq_{each}" for each in DRIVERS}:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Hidden, *sys.meta_path])
