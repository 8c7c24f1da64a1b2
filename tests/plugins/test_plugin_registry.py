"""The registry of plugins: installed plugins, selection by name, and imports."""

import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from asynctasq.errors import ConfigurationError, PluginConflict, PluginNotFound
from asynctasq.hookspecs import hookimpl
from asynctasq.plugins import PluginRegistry, PluginState
from asynctasq.plugins.missing import not_found
from tests.plugins.conftest import Site

IMPORT_AND_HOOK = """
    from asynctasq.hookspecs import hookimpl

    @hookimpl
    def worker_started(context): ...
"""
THIRD_PARTY_SETTINGS = """
    from asynctasq.errors import ConfigurationError
    from asynctasq.hookspecs import hookimpl
    from asynctasq.records import record

    @record
    class ShelfSettings:
        path: str = "shelf"

    @hookimpl
    def settings_class(name):
        return ShelfSettings

    @hookimpl
    def create_driver(name, settings):
        from shelf.driver import FakeDriver
        return FakeDriver((name, settings.path))
"""


def states(registry: PluginRegistry, name: str) -> dict[str | None, PluginState]:
    return {info.distribution: info.state for info in registry.available() if info.name == name}


def test_built_ins_are_plugins_like_any_other() -> None:
    found = {(info.kind, info.name): info for info in PluginRegistry().available()}
    for kind, name in [
        ("driver", "memory"),
        ("driver", "sqlite"),
        ("serializer", "msgpack"),
        ("serializer", "json"),
        ("executor", "loop"),
        ("executor", "thread"),
    ]:
        assert found[kind, name].distribution == "asynctasq"
        assert found[kind, name].state is PluginState.AVAILABLE


def test_listing_imports_nothing(site: Site) -> None:
    site.install_driver("shelf", "asynctasq-shelf", "shelf", version="2.3")
    registry = PluginRegistry()
    info = next(info for info in registry.available("driver") if info.name == "shelf")
    assert (info.distribution, info.version, info.value) == (
        "asynctasq-shelf",
        "2.3",
        "shelf.plugin",
    )
    assert "shelf" in registry.names("driver")
    assert not site.imported()


def test_making_one_driver_imports_no_other(site: Site) -> None:
    site.install_driver("shelf", "asynctasq-shelf", "shelf")
    site.install_driver("drawer", "asynctasq-drawer", "drawer")
    registry = PluginRegistry()
    assert registry.create_driver("shelf", {}).description == "nowhere"
    assert site.imported() == {"shelf", "shelf.plugin", "shelf.driver"}


def test_asking_for_settings_does_not_import_the_driver_itself(site: Site) -> None:
    site.install_driver("shelf", "asynctasq-shelf", "shelf")
    assert PluginRegistry().settings_class("driver", "shelf") is None
    assert "shelf.driver" not in sys.modules


def test_a_plugin_is_loaded_once(site: Site) -> None:
    site.install_driver("shelf", "asynctasq-shelf", "shelf")
    registry = PluginRegistry()
    assert registry.load("driver", "shelf") is registry.load("driver", "shelf")
    assert registry.plugin("driver", "shelf") is registry.plugin("driver", "shelf")


def test_settings_of_a_third_party_reach_its_factory(site: Site) -> None:
    site.install_driver("shelf", "asynctasq-shelf", "shelf")
    site.write_module("shelf.plugin", THIRD_PARTY_SETTINGS)
    registry = PluginRegistry()
    settings_class = registry.settings_class("driver", "shelf")
    assert settings_class is not None
    given: Any = registry.create_driver("shelf", settings_class(path="attic"))
    default: Any = registry.create_driver("shelf")
    assert given.settings == ("shelf", "attic")
    assert default.settings == ("shelf", "shelf")


def test_an_unknown_name_lists_what_is_installed_and_the_nearest(site: Site) -> None:
    site.install_driver("shelf", "asynctasq-shelf", "shelf")
    with pytest.raises(PluginNotFound) as caught:
        PluginRegistry().create_driver("shefl", {})
    text = str(caught.value)
    assert "'shefl'" in text
    for name in ("memory", "shelf", "sqlite"):
        assert name in text
    assert "Did you mean 'shelf'?" in text
    assert "pip install" not in text


@pytest.mark.parametrize(
    "kind, name, extra",
    [
        ("driver", "redis", "redis"),
        ("driver", "rediss", "redis"),
        ("driver", "sqs", "sqs"),
        ("driver", "amqp", "rabbitmq"),
        ("driver", "rabitmq", "rabbitmq"),
        ("resolver", "sqlalchemy", "sqlalchemy"),
        ("resolver", "django", "django"),
        ("resolver", "tortoise", "tortoise"),
    ],
)
def test_an_official_name_says_what_to_install(kind: str, name: str, extra: str) -> None:
    # Not by a registry: the siblings may be installed where the tests run.
    told = not_found(kind, name, ["memory", "sqlite"] if kind == "driver" else [])
    assert f"pip install 'asynctasq[{extra}]'" in told


def test_two_distributions_of_one_name_conflict_only_for_those_who_select_it(site: Site) -> None:
    site.install_driver("shelf", "oak-shelf", "oak", version="1.1")
    site.install_driver("shelf", "pine-shelf", "pine", version="2.2")
    registry = PluginRegistry()
    assert states(registry, "shelf") == {
        "oak-shelf": PluginState.CONFLICT,
        "pine-shelf": PluginState.CONFLICT,
    }
    with pytest.raises(PluginConflict) as caught:
        registry.create_driver("shelf", {})
    text = str(caught.value)
    for part in (
        "oak-shelf 1.1",
        "pine-shelf 2.2",
        "oak.plugin",
        "disable_plugins=['driver:shelf:pine-shelf']",
    ):
        assert part in text
    assert registry.create_driver("memory")
    assert not site.imported()


def test_disabling_one_of_two_ends_their_conflict(site: Site) -> None:
    site.install_driver("shelf", "oak-shelf", "oak")
    site.install_driver("shelf", "pine-shelf", "pine")
    registry = PluginRegistry(disabled=["Oak_Shelf"])
    assert states(registry, "shelf") == {
        "oak-shelf": PluginState.DISABLED,
        "pine-shelf": PluginState.AVAILABLE,
    }
    assert registry.load("driver", "shelf").__name__ == "pine.plugin"  # type: ignore[attr-defined]  # a module


def test_a_rule_with_a_distribution_disables_one_plugin_of_a_conflict(site: Site) -> None:
    site.install_driver("shelf", "oak-shelf", "oak")
    site.install_driver("shelf", "pine-shelf", "pine")
    registry = PluginRegistry(disabled=["driver:shelf:Oak_Shelf"])
    assert states(registry, "shelf") == {
        "oak-shelf": PluginState.DISABLED,
        "pine-shelf": PluginState.AVAILABLE,
    }


def test_one_name_of_two_kinds_is_no_conflict(site: Site) -> None:
    site.install("one", "[asynctasq.drivers]\nshelf = a\n[asynctasq.serializers]\nshelf = b\n")
    site.install("two", "[asynctasq.resolvers]\nshelf = c\n")
    assert states(PluginRegistry(), "shelf") == dict.fromkeys(("one", "two"), PluginState.AVAILABLE)


def test_a_distribution_seen_twice_counts_once(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install_driver("shelf", "oak-shelf", "oak", version="2.0")
    older = Site(tmp_path / "older")
    older.install_driver("shelf", "Oak.Shelf", "oak", version="1.0")
    monkeypatch.setattr(sys, "path", [*sys.path, str(older.folder), str(site.folder)])
    found = [info for info in PluginRegistry().available() if info.name == "shelf"]
    assert [(info.version, info.state) for info in found] == [("2.0", PluginState.AVAILABLE)]


@pytest.mark.parametrize("rule", ["shelf", "driver:shelf", "oak-shelf", "OAK_SHELF", "oak.shelf"])
def test_a_disabled_plugin_is_shown_and_cannot_be_selected(site: Site, rule: str) -> None:
    site.install_driver("shelf", "oak-shelf", "oak")
    registry = PluginRegistry(disabled=[rule])
    assert states(registry, "shelf") == {"oak-shelf": PluginState.DISABLED}
    assert "shelf" not in registry.names("driver")
    with pytest.raises(PluginNotFound, match=r"oak-shelf 1.0.*disabled by disable_plugins"):
        registry.load("driver", "shelf")
    assert not site.imported()


def test_disabling_one_kind_leaves_the_others(site: Site) -> None:
    site.install("one", "[asynctasq.drivers]\nshelf = a\n[asynctasq.serializers]\nshelf = b\n")
    registry = PluginRegistry(disabled=["serializer:shelf"])
    assert "shelf" in registry.names("driver")
    assert "shelf" not in registry.names("serializer")


def test_a_rule_of_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"must be one of driver, serializer"):
        PluginRegistry(disabled=["drivers:redis"])


def test_a_rule_that_is_a_plain_string_is_one_rule(site: Site) -> None:
    site.install_driver("shelf", "oak-shelf", "oak")
    assert states(PluginRegistry(disabled="shelf"), "shelf") == {"oak-shelf": PluginState.DISABLED}


def test_a_rule_that_matches_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    registry = PluginRegistry(disabled=["sqlte", "driver:sqlite", "sqlite"])
    with caplog.at_level(logging.WARNING, "asynctasq.plugins"):
        registry.available()
        registry.available()
    assert [record.getMessage() for record in caplog.records] == [
        "disable_plugins: no installed plugin matches 'sqlte'"
    ]


def test_metadata_that_cannot_be_read_is_logged_and_spoils_nothing_else(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.install("bad-shelf", "[asynctasq.drivers]\nthis is no entry point\n")
    site.install_driver("shelf", "oak-shelf", "oak")
    nameless = site.folder / "nameless.dist-info"
    nameless.mkdir()
    (nameless / "entry_points.txt").write_text("[asynctasq.drivers]\nghost = ghost\n")
    with caplog.at_level(logging.WARNING, "asynctasq.plugins"):
        names = PluginRegistry().names("driver")
    assert "shelf" in names
    assert "ghost" not in names
    logged = " ".join(record.getMessage() for record in caplog.records)
    assert "Ignored a distribution without a name" in logged
    assert "Could not read the metadata of bad-shelf" in logged


class Shouting:
    """A local observer."""

    @hookimpl
    def worker_started(self) -> None: ...


def test_local_hooks_need_no_name_and_come_last(site: Site) -> None:
    site.install(
        "tracing",
        "[asynctasq.hooks]\ntracing = tracing",
        {"tracing": IMPORT_AND_HOOK},
    )
    registry = PluginRegistry()
    first, second = Shouting(), Shouting()
    registry.register(first)
    registry.register(second)
    assert [plugin.target for plugin in registry.hooks()][1:] == [first, second]
    assert registry.hooks()[0].name == "tracing (tracing 1.0)"
    assert len({info.name for info in registry.available("hook")}) == 3
    registry.unregister(first)
    assert [plugin.target for plugin in registry.hooks()][1:] == [second]
    with pytest.raises(PluginNotFound):
        registry.unregister(first)


def test_a_local_plugin_is_registered_once() -> None:
    registry = PluginRegistry()
    observer = Shouting()
    registry.register(observer)
    with pytest.raises(PluginConflict, match="already registered"):
        registry.register(observer)
    registry.register(Shouting(), name="loud")
    with pytest.raises(PluginConflict, match="already registered"):
        registry.register(Shouting(), name="loud")


class Cupboard:
    """A local driver plugin."""

    @hookimpl
    def create_driver(self, name: str, settings: Any) -> Any:
        return PluginRegistry().create_driver("memory")


def test_a_local_driver_is_selected_by_its_name() -> None:
    registry = PluginRegistry()
    registry.register(Cupboard(), kind="driver", name="cupboard")
    assert registry.create_driver("cupboard", {}).description
    info = next(info for info in registry.available("driver") if info.name == "cupboard")
    assert (info.state, info.distribution) == (PluginState.LOCAL, None)
    with pytest.raises(TypeError, match="name="):
        registry.register(Cupboard(), kind="driver")
    with pytest.raises(ValueError, match="must be one of"):
        registry.register(Cupboard(), kind="drivers", name="cupboard")


def test_a_local_plugin_does_not_silently_replace_an_installed_one(site: Site) -> None:
    site.install_driver("shelf", "oak-shelf", "oak")
    registry = PluginRegistry()
    registry.register(Cupboard(), kind="driver", name="shelf")
    with pytest.raises(PluginConflict, match=r"oak-shelf 1.0 .* and this application"):
        registry.create_driver("shelf", {})
    alone = PluginRegistry(disabled=["driver:shelf"])
    alone.register(Cupboard(), kind="driver", name="shelf")
    assert alone.create_driver("shelf", {})
    assert not site.imported()


def test_hooks_of_one_name_conflict_for_every_app_until_one_is_disabled(site: Site) -> None:
    site.install("oak-tracing", "[asynctasq.hooks]\ntracing = oak\n", {"oak": IMPORT_AND_HOOK})
    site.install("pine-tracing", "[asynctasq.hooks]\ntracing = pine\n", {"pine": IMPORT_AND_HOOK})
    with pytest.raises(PluginConflict, match="hook name 'tracing': oak-tracing"):
        PluginRegistry().hooks()
    assert len(PluginRegistry(disabled=["pine-tracing"]).hooks()) == 1
    assert "pine" not in sys.modules
