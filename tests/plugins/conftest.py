"""Distributions that are made on disk, found and imported like installed ones."""

import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

DRIVER_SOURCE = """
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import DRIVER_API_VERSION, DriverDefaults, QueueCounts


class FakeDriver(DriverDefaults):
    api_version = DRIVER_API_VERSION
    capabilities = Capability.NONE
    clock_offset = 0.0
    description = "nowhere"

    def __init__(self, settings=None):
        self.settings = settings

    def clone(self):
        return type(self)(self.settings)

    async def open(self): ...
    async def close(self): ...
    async def enqueue(self, messages): return []
    async def reserve(self, queues, *, limit, owner, lease): return []
    async def wait(self, queues, *, timeout): ...
    async def settle(self, settlements): return []
    async def extend(self, owner, leases, *, lease): return []
    async def count(self, queue, *, bound=None): return QueueCounts()
"""

PLUGIN_SOURCE = """
from asynctasq.hookspecs import hookimpl


@hookimpl
def create_driver(name, settings):
    from {package}.driver import FakeDriver
    return FakeDriver(settings)
"""


class Site:
    """A folder like `site-packages`, first on the path of this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages: set[str] = set()
        folder.mkdir()

    def install(
        self,
        distribution: str,
        entry_points: str = "",
        modules: Mapping[str, str] | None = None,
        *,
        version: str = "1.0",
    ) -> None:
        """Add a distribution; `modules` maps dotted names to sources."""
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        (info / "METADATA").write_text(metadata)
        (info / "entry_points.txt").write_text(textwrap.dedent(entry_points))
        for name, source in (modules or {}).items():
            self.write_module(name, source)

    def write_module(self, name: str, source: str) -> None:
        package, *inner = name.split(".")
        self.packages.add(package)
        folder = self.folder
        for part in [package, *inner][:-1]:
            folder /= part
            folder.mkdir(exist_ok=True)
            (folder / "__init__.py").touch()
        (folder / f"{name.rpartition('.')[2]}.py").write_text(textwrap.dedent(source))

    def install_driver(
        self, name: str, distribution: str, package: str, *, version: str = "1.0"
    ) -> None:
        """Add a distribution with one driver that works."""
        self.install(
            distribution,
            f"[asynctasq.drivers]\n{name} = {package}.plugin\n",
            {
                f"{package}.plugin": PLUGIN_SOURCE.replace("{package}", package),
                f"{package}.driver": DRIVER_SOURCE,
            },
            version=version,
        )

    def imported(self) -> set[str]:
        """Return the modules made here that are imported."""
        return {name for name in sys.modules if name.partition(".")[0] in self.packages}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    site = Site(tmp_path / "site")
    monkeypatch.syspath_prepend(site.folder)
    yield site
    for name in site.imported():
        del sys.modules[name]
