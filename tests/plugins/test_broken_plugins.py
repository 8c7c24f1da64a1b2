"""Everything that can be wrong with a plugin, and what is said to those who select it."""

import logging
import textwrap
from types import ModuleType
from typing import Any

import pytest

from asynctasq.contracts.driver import DRIVER_API_VERSION
from asynctasq.errors import ConfigurationError, PluginBroken
from asynctasq.hookspecs import GROUPS, hookimpl
from asynctasq.plugins import PluginInfo, PluginRegistry, PluginState, check_driver
from tests.plugins.conftest import DRIVER_SOURCE, Site

IMPORT = "from asynctasq.hookspecs import hookimpl\n"
FACTORY = """
@hookimpl
def create_driver(name, settings):
    from shelf.driver import FakeDriver
    return FakeDriver(settings)
"""


def install(site: Site, plugin: str, *, driver: str = DRIVER_SOURCE, kind: str = "driver") -> None:
    site.install(
        "oak-shelf",
        f"[{GROUPS[kind]}]\nshelf = shelf.plugin\n",
        {
            "shelf.plugin": IMPORT + textwrap.dedent(plugin),
            "shelf.driver": textwrap.dedent(driver),
        },
        version="1.5",
    )


def checked(registry: PluginRegistry, kind: str = "driver") -> PluginInfo:
    return next(info for info in registry.check(kind) if info.name == "shelf")


@pytest.mark.parametrize(
    "plugin, problem",
    [
        ("import a_module_that_is_nowhere", "ModuleNotFoundError: No module named 'a_module_that"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def", "SyntaxError"),
        ("", "does not implement the hook 'create_driver'"),
        ("def create_driver(name, settings): ...", "mark its functions with @hookimpl"),
        (FACTORY.replace("create_driver", "create_drivr"), "Did you mean 'create_driver'?"),
        (FACTORY + "@hookimpl\ndef befor_execute(context): ...", "Did you mean 'before_execute'?"),
        (FACTORY.replace("settings)", "config)", 1), "must take only name,"),
        (FACTORY.replace("settings)", "settings=None)", 1), "'settings' by position and without"),
        (FACTORY.replace("settings)", "*, settings)", 1), "'settings' by position and without"),
        (FACTORY.replace("settings)", "settings, *, more)", 1), "got the parameter 'more'"),
        (FACTORY.replace("def", "async def"), "must be a plain function, not async"),
        (FACTORY + "    yield", "is a generator"),
        (FACTORY.replace("@hookimpl", "@hookimpl(wrapper=True)"), "marked as a wrapper"),
    ],
)
def test_a_plugin_that_cannot_be_loaded(site: Site, plugin: str, problem: str) -> None:
    install(site, plugin)
    registry = PluginRegistry()
    with pytest.raises(PluginBroken) as caught:
        registry.create_driver("shelf", {})
    text = str(caught.value)
    assert "driver plugin 'shelf' of oak-shelf 1.5 (shelf.plugin)" in text
    assert problem in text
    assert caught.value.__cause__ is not None
    info = checked(registry)
    assert (info.state, info.error) == (PluginState.BROKEN, text)
    assert registry.create_driver("memory")


@pytest.mark.parametrize("value", ["shelf.plugin:nothing", "shelf.plugin:hookimpl", "not a value!"])
def test_an_entry_point_that_names_no_plugin(site: Site, value: str) -> None:
    install(site, FACTORY)
    site.install("pine-shelf", f"[asynctasq.drivers]\npine = {value}\n")
    with pytest.raises(PluginBroken, match=r"'pine' of pine-shelf 1.0"):
        PluginRegistry().create_driver("pine", {})


def test_a_class_instead_of_an_instance(site: Site) -> None:
    install(site, "class Shelf:\n    @hookimpl\n    def create_driver(self, name, settings): ...")
    site.install("pine-shelf", "[asynctasq.drivers]\npine = shelf.plugin:Shelf\n")
    with pytest.raises(PluginBroken, match=r"got the parameter 'self'.*give an instance"):
        PluginRegistry().create_driver("pine", {})


@pytest.mark.parametrize(
    "body, problem",
    [
        ("return None", "create_driver('shelf', ...) returned None"),
        ("raise OSError('no shelf')", "create_driver raised OSError: no shelf"),
        (
            "import a_client_that_is_nowhere",
            "raised ModuleNotFoundError: No module named 'a_client",
        ),
        ("return object()", "object lacks api_version, capabilities, clock_offset, description"),
    ],
)
def test_a_factory_that_fails(site: Site, body: str, problem: str) -> None:
    install(site, f"@hookimpl\ndef create_driver(name, settings):\n    {body}\n")
    registry = PluginRegistry()
    with pytest.raises(PluginBroken) as caught:
        registry.create_driver("shelf", {})
    assert "oak-shelf 1.5" in str(caught.value)
    assert problem in str(caught.value)
    assert checked(registry).error == str(caught.value)


@pytest.mark.parametrize(
    "line, changed, problem",
    [
        ("api_version = DRIVER_API_VERSION", "api_version = 0", "upgrade oak-shelf"),
        ("api_version = DRIVER_API_VERSION", "api_version = 99", "upgrade asynctasq"),
        ("api_version = DRIVER_API_VERSION", "api_version = 'x'", "must be an integer"),
        ("api_version = DRIVER_API_VERSION", "", "lacks api_version"),
        ("FakeDriver(DriverDefaults)", "FakeDriver", "for version 1 of the driver API"),
        ("Capability.NONE", "Capability.PAUSE", "Capability.PAUSE but has no method pause"),
        ("Capability.NONE", "0", "must be a combination of Capability flags"),
        ("async def settle", "async def settled", "lacks settle, which every driver has"),
    ],
)
def test_a_driver_that_does_not_keep_the_contract(
    site: Site, line: str, changed: str, problem: str
) -> None:
    install(site, FACTORY, driver=DRIVER_SOURCE.replace(line, changed))
    with pytest.raises(PluginBroken) as caught:
        PluginRegistry().create_driver("shelf", {})
    assert "oak-shelf 1.5" in str(caught.value)
    assert problem in str(caught.value)
    assert checked(PluginRegistry()).state is PluginState.BROKEN


def test_a_driver_of_another_version_says_so_before_what_it_lacks(site: Site) -> None:
    driver = DRIVER_SOURCE.replace("= DRIVER_API_VERSION", "= 0").replace("settle", "acknowledge")
    install(site, FACTORY, driver=driver)
    with pytest.raises(PluginBroken, match=rf"this release .* has version {DRIVER_API_VERSION}"):
        PluginRegistry().create_driver("shelf", {})


def test_a_driver_instance_is_checked_by_itself() -> None:
    driver = PluginRegistry().create_driver("memory")
    check_driver(driver)
    driver.api_version = 0
    with pytest.raises(PluginBroken, match=f"upgrade {type(driver).__name__}"):
        check_driver(driver)


def test_settings_that_the_factory_refuses_are_the_users_error(site: Site) -> None:
    install(
        site,
        """
        from asynctasq.errors import ConfigurationError

        @hookimpl
        def create_driver(name, settings):
            raise ConfigurationError("shelf.path is required")
        """,
    )
    registry = PluginRegistry()
    with pytest.raises(ConfigurationError, match="path is required"):
        registry.create_driver("shelf", {})
    info = checked(registry)
    assert info.state is PluginState.AVAILABLE
    assert info.error is not None
    assert "shelf.path is required" in info.error


@pytest.mark.parametrize(
    "answer, problem",
    [
        ("'ShelfSettings'", "settings_class must return a class, got 'ShelfSettings'"),
        ("type('S', (), {'__init__': lambda self, path: None})", "S must have a default"),
        ("1 / 0", "settings_class raised ZeroDivisionError"),
    ],
)
def test_a_settings_class_that_cannot_be_used(site: Site, answer: str, problem: str) -> None:
    hook = f"\n@hookimpl\ndef settings_class(name):\n    return {answer}\n"
    install(site, FACTORY + hook)
    with pytest.raises(PluginBroken, match=r"oak-shelf 1.5") as caught:
        PluginRegistry().create_driver("shelf")
    assert problem in str(caught.value)


def test_a_serializer_is_found_again_by_its_content_type(site: Site) -> None:
    install(
        site,
        """
        class Pickled:
            content_type = "pickled"
            def dumps(self, value, *, refer): ...
            def loads(self, data, *, models=()): ...

        @hookimpl
        def create_serializer(name, settings):
            return Pickled()
        """,
        kind="serializer",
    )
    with pytest.raises(PluginBroken, match=r"content_type is 'pickled'.*'shelf'"):
        PluginRegistry().create_serializer("shelf")


@pytest.mark.parametrize("kind", ["serializer", "executor", "resolver"])
def test_every_kind_of_product_is_checked(site: Site, kind: str) -> None:
    install(site, f"@hookimpl\ndef create_{kind}(name, settings): return object()", kind=kind)
    registry = PluginRegistry()
    with pytest.raises(PluginBroken, match=f"object lacks .*which every {kind} has"):
        getattr(registry, f"create_{kind}")("shelf")
    assert checked(registry, kind).state is PluginState.BROKEN


@pytest.mark.parametrize(
    "hook, problem",
    [
        ("def before_exekute(context): ...", "Did you mean 'before_execute'"),
        ("def before_execute(ctx): ...", "must take only context, got the parameter 'ctx'"),
        ("def before_execute(context, worker): ...", "got the parameter 'worker'"),
        ("def before_execute(context): yield", "is a generator"),
        ("async def before_execute(context): yield", "is a generator"),
        ("async def wrap_execute(call_next): ...", "must be a plain function"),
        ("async def register_commands(cli): ...", "must be a plain function"),
    ],
)
def test_a_broken_observer_fails_when_hooks_are_loaded(site: Site, hook: str, problem: str) -> None:
    install(site, f"@hookimpl\n{hook}\n", kind="hook")
    with pytest.raises(PluginBroken) as caught:
        PluginRegistry().hooks()
    assert "hook plugin 'shelf' of oak-shelf 1.5" in str(caught.value)
    assert problem in str(caught.value)
    assert PluginRegistry(disabled=["shelf"]).hooks() == []


def test_a_broken_local_plugin_is_refused_at_once() -> None:
    class Silent: ...

    class Misspelt:
        @hookimpl
        def worker_start(self, context: object) -> None: ...

    registry = PluginRegistry()
    with pytest.raises(PluginBroken, match=r"Silent.*does not implement any hook"):
        registry.register(Silent())
    with pytest.raises(PluginBroken, match=r"of this application.*'worker_started'"):
        registry.register(Misspelt())
    assert registry.hooks() == []


def test_a_function_without_the_mark_is_pointed_out(caplog: pytest.LogCaptureFixture) -> None:
    module = ModuleType("half_marked")
    exec(
        IMPORT + "@hookimpl\ndef on_retry(context): ...\ndef on_dead(context): ...",
        module.__dict__,
    )
    with caplog.at_level(logging.WARNING, "asynctasq.plugins"):
        PluginRegistry().register(module)
    assert [record.getMessage() for record in caplog.records] == [
        (
            "The hook plugin 'half_marked' of this application (half_marked) has a function on_dead "
            "without @hookimpl; it is never called"
        )
    ]


def test_what_is_optional_may_be_of_a_later_release() -> None:
    class Modern:
        @hookimpl
        def worker_started(self, context: Any) -> None: ...

        @hookimpl(optionalhook=True)
        def worker_dreamt(self, context: Any) -> None: ...

    registry = PluginRegistry()
    registry.register(Modern())
    assert len(registry.hooks()) == 1
