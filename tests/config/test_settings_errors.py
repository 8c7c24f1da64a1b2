"""Errors in settings are reported at once, with the key as written, its source and a suggestion."""

import re
from pathlib import Path

import pytest

from asynctasq.config import load_settings
from asynctasq.errors import ConfigurationError, PluginBroken
from tests.config.toy_settings import (
    FakeDriver,
    FakeSerializer,
    ShelfSettings,
    WireSettings,
    load,
)


def problem(
    arguments: dict[str, object] | None = None,
    environ: dict[str, str] | None = None,
    dotenv: Path | None = None,
) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(arguments, environ, dotenv)
    assert caught.value.__cause__ is None  # pydantic's error shows the values, secrets too
    assert caught.value.__context__ is None
    return str(caught.value)


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"concurency": 5}, "concurency (arguments): unknown setting; did you mean concurrency?"),
        ({"sqlte": {}}, "sqlte (arguments): unknown setting; did you mean sqlite?"),
        ({"qqqq": 5}, "`asynctasq publish`"),
        ({"shelf": {"pth": "x"}}, "shelf.pth (arguments): unknown setting; did you mean shelf.path?"),
        ({"wire": {"qqqq": "x"}}, "wire.qqqq (arguments): unknown setting; choose from wire.retries, wire.url"),
        ({"concurrency": "100"}, "concurrency (arguments) must be a whole number, got '100'"),
        ({"concurrency": 1.5}, "must be a whole number, got 1.5"),
        ({"concurrency": True}, "must be a whole number, got True"),
        ({"concurrency": None}, "must be a whole number, got None"),
        ({"concurrency": 0}, "must be a whole number at least 1, got 0"),
        ({"lease": "x"}, "lease (arguments) must be a number or none, got 'x'"),
        ({"lease": 0}, "must be a number or none at least 0.1, got 0"),
        ({"lease": float("nan")}, "must be a number or none at least 0.1, got nan"),
        ({"lease": float("inf")}, "got inf"),
        ({"default_timeout": 0}, "must be a number or none above 0, got 0"),
        ({"default_priority": 10}, "at least 0, at most 9, got 10"),
        ({"default_retry_strategy": "linear"}, "one of 'fixed', 'exponential', got 'linear'"),
        ({"default_retry_jitter": 1.5}, "at most 1"),
        ({"default_queue": "a b"}, "default_queue (arguments) must be text of"),
        ({"queues": ["a", "b c"]}, "queues (arguments) must be a list of texts of"),
        ({"queues": 5}, "must be a list of texts, got 5"),
        ({"queues": ["a", 5]}, "must be a list of texts, got ['a', 5]"),
        ({"serializer": ""}, "serializer (arguments) must be text of"),
        ({"serializer": 5}, "serializer (arguments) must be a plugin's name, or a serializer instance"),
        ({"serializer": FakeSerializer}, "as in FakeSerializer(...)"),
        ({"serializer": FakeSerializer("a b")}, "whose content_type is a name of letters"),
        ({"driver": ""}, "driver (arguments) must be a plugin's name, a URL"),
        ({"driver": None}, "a driver instance, got None"),
        ({"driver": 5}, "a driver instance, got 5"),
        ({"driver": FakeDriver}, "as in FakeDriver(...)"),
        ({"shelf": "x.db"}, "shelf (arguments) must be a dict or ShelfSettings, got str"),
        ({"shelf": WireSettings()}, "must be a dict or ShelfSettings, got WireSettings"),
        ({"json": 5}, "json (arguments) must be a dict, got int"),
        ({"shelf": {"size": "5"}}, "shelf.size (arguments) must be a whole number, got '5'"),
        ({"shelf": {"mode": "slow"}}, "one of 'fast', 'safe', got 'slow'"),
        ({"shelf": {"level": "slow"}}, "one of 'low', 'high', got 'slow'"),
        ({"shelf": {"strict": "yes"}}, "must be true or false, got 'yes'"),
        ({"shelf": {"path": 5}}, "shelf.path (arguments) must be a path, got 5"),
        ({"shelf": {"size": -1}}, "shelf: size must not be negative, got -1"),
        ({"lease": 0.001}, "must be a number or none at least 0.1, got 0.001"),
        ({"heartbeat_interval": 16, "lease": 30}, "heartbeat_interval (arguments) and lease (arguments): heartbeat_interval must be at most half"),
        ({"heartbeat_interval": 1.1, "lease": 2}, "got 1.1 and 2 s. Lower heartbeat_interval, or raise lease"),
        ({"stall_limit": 29, "lease": 30}, "stall_limit (arguments) and lease (arguments): stall_limit must be at least lease"),
        ({"stall_limit": 60, "lease": 90}, "stall_limit (arguments) and lease (arguments)"),
        ({"loop": "trio"}, "loop (arguments) must be one of 'uvloop', 'asyncio', got 'trio'"),
        ({"log_tracebacks": "no"}, "must be true or false, got 'no'"),
        ({"heartbeat_interval": 3, "lease": 2}, "heartbeat_interval (arguments) and lease (arguments)"),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_arguments(arguments: dict[str, object], said: str) -> None:
    assert said in problem(arguments)


@pytest.mark.parametrize(
    "environ, said",
    [
        ({"ASYNCTASQ_CONCURENCY": "5"}, "ASYNCTASQ_CONCURENCY (environment): unknown setting; did you mean ASYNCTASQ_CONCURRENCY?"),
        ({"ASYNCTASQ_CONCURRENCY": "many"}, "ASYNCTASQ_CONCURRENCY (environment) must be a whole number, got 'many'"),
        ({"ASYNCTASQ_CONCURRENCY": ""}, "must be a whole number, got ''"),
        ({"ASYNCTASQ_CONCURRENCY": "0"}, "at least 1, got '0'"),
        ({"ASYNCTASQ_LEASE": "nan"}, "at least 0.1, got 'nan'"),
        ({"ASYNCTASQ_QUEUES": "[a"}, "must be valid JSON, got '[a'"),
        ({"ASYNCTASQ_DRIVER": ""}, "ASYNCTASQ_DRIVER (environment) must be a plugin's name"),
        ({"ASYNCTASQ_DRIVER": "shelf", "ASYNCTASQ_SHELF_PTH": "x"}, "did you mean ASYNCTASQ_SHELF_PATH?"),
        ({"ASYNCTASQ_DRIVER": "shelf", "ASYNCTASQ_SHELF_SIZE": "x"}, "ASYNCTASQ_SHELF_SIZE (environment) must be a whole number"),
        ({"ASYNCTASQ_DRIVER": "shelf", "ASYNCTASQ_SHELFF_PATH": "x"}, "did you mean ASYNCTASQ_SHELF_PATH?"),
        ({"ASYNCTASQ_DRIVER": "shelf", "ASYNCTASQ_SHELF_LABELS": "x"}, "must be valid JSON, got 'x'"),
        ({"asynctasq_concurency": "5"}, "asynctasq_concurency (environment): unknown setting"),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_variables(environ: dict[str, str], said: str) -> None:
    assert said in problem({}, environ)


def test_a_wrong_line_of_dotenv_is_named_by_its_number(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("# ours\n\nOTHER=1\n\nASYNCTASQ_LEASE=long\n")
    assert f"ASYNCTASQ_LEASE ({dotenv} line 5) must be a number" in problem({}, {}, dotenv)


def test_a_wrong_option_is_named_as_one() -> None:
    with pytest.raises(ConfigurationError, match=r"^concurrency \(command line\) must be"):
        load({"concurrency": 5}, command_line={"concurrency": 0})


def test_all_problems_are_told_in_one_error_one_a_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ASYNCTASQ_GRACE=1\n")
    lines = problem(
        {"driver": "shelf", "shelf": {"pth": 1, "size": "x"}, "concurency": 1, "lease": "x"},
        {"ASYNCTASQ_QUEUS": "a", "ASYNCTASQ_DEFAULT_PRIORITY": "11"},
        tmp_path / ".env",
    ).splitlines()
    assert lines[0] == "7 settings are invalid:"
    keys = {line.split(" ")[0] for line in lines[1:]}
    assert keys == {
        "shelf.pth", "shelf.size", "concurency", "lease",
        "ASYNCTASQ_QUEUS", "ASYNCTASQ_DEFAULT_PRIORITY", "ASYNCTASQ_GRACE",
    }  # fmt: skip


def test_a_problem_says_what_the_setting_means() -> None:
    assert "Tasks that one worker runs at a time." in problem({"concurrency": 0})


@pytest.mark.parametrize(
    "variable",
    [
        "ASYNCTASQ_REDIS_URL",  # official, not installed, not in use
        "ASYNCTASQ_SQLALCHEMY_ANYTHING",
        "ASYNCTASQ_SHELF_PTH",  # installed, not in use
        "ASYNCTASQ_SHELF_SIZE",
        "ASYNCTASQ_TEST_ANYTHING",
        "ASYNCTASQ_DEBUG",
        "ASYNCTASQ_MODEL_EXAMPLES",
        "ASYNCTASQ",
        "ASYNCTASQX_CONCURENCY",
        "DRIVER",
    ],
)
def test_variables_of_others_are_left_alone(variable: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"{variable}=?\n")
    assert load({}, {variable: "?"}, tmp_path / ".env").driver_name == "sqlite"


@pytest.mark.parametrize("variable", ["ASYNCTASQ_DEBUGGING", "ASYNCTASQ_TESTS", "ASYNCTASQ_SHELF"])
def test_variables_that_only_look_like_those_of_others_are_errors(variable: str) -> None:
    assert f"{variable} (environment): unknown setting" in problem({}, {variable: "1"})


def test_a_plugin_that_comes_into_use_later_is_checked_then() -> None:
    settings = load({}, {"ASYNCTASQ_SHELF_PTH": "x", "ASYNCTASQ_SHELF_SIZE": "y"})
    with pytest.raises(ConfigurationError, match=r"(?s)SHELF_PTH.*SHELF_SIZE"):
        settings.plugin("shelf")


def test_of_two_plugins_the_longer_name_owns_a_variable() -> None:
    environ = {"ASYNCTASQ_SHELF_PRO_RETRIES": "5"}
    assert load({"driver": "shelf"}, environ).plugin("shelf-pro") == WireSettings(retries=5)


def test_sections_of_official_plugins_are_kept_for_when_they_are_installed() -> None:
    assert load({"redis": {"url": "redis://h"}}).concurrency == 100


@pytest.mark.parametrize("secret", ["hunter2", "p@ss/w#rd?x", "a:b@c"])
@pytest.mark.parametrize(
    "arguments, environ",
    [
        ({"driver": "shelf", "shelf": {"password": ["{}"]}}, {}),
        ({"driver": "shelf://u:{}@h/x#y"}, {}),
        ({"driver": "shelf://u:{}@h/x?bogus=1"}, {}),
        ({"driver": "shelf:/u:{}@h/x"}, {}),
        ({"driver": "shelf://u:secret@h/x", "shelf": {"password": "{}"}}, {}),
        ({"driver": "wire", "wire": {"url": "wire://u:{}@h", "retries": "wire://u:{}@h"}}, {}),
        ({}, {"ASYNCTASQ_DRIVER": "shelf:u:{}@h"}),
        ({}, {"ASYNCTASQ_LEASE": "shelf://u:{}@h"}),
        ({"driver": "shelf"}, {"ASYNCTASQ_SHELF_SECRET": "{}"}),
    ],
)
def test_no_secret_shows_in_an_error(
    arguments: dict[str, object], environ: dict[str, str], secret: str
) -> None:
    def fill(value: object) -> object:
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [fill(item) for item in value]
        return value.replace("{}", secret) if isinstance(value, str) else value

    filled_arguments, filled_environ = fill(arguments), fill(environ)
    assert isinstance(filled_arguments, dict)
    assert isinstance(filled_environ, dict)
    assert secret not in problem(filled_arguments, filled_environ)


def test_no_secret_shows_in_the_settings() -> None:
    settings = load({"driver": "shelf://u:hunter2@h/x"})
    assert "hunter2" not in repr(settings)
    assert settings.driver_text == "shelf://u:***@h/x"
    assert load().driver_text == "sqlite"


def test_a_settings_class_that_is_no_dataclass_is_the_plugins_fault() -> None:
    with pytest.raises(PluginBroken, match="int of the plugin 'odd'"):
        load_settings(
            {"driver": "odd"}, settings_class=lambda _: int, known_plugins=["odd"], environ={}
        )


def test_a_setting_without_default_must_be_given() -> None:
    from asynctasq.records import record

    @record
    class Needy:
        url: str

    def load_needy(arguments: dict[str, object]) -> object:
        return load_settings(
            {"driver": "needy", **arguments},
            settings_class=lambda name: Needy if name == "needy" else None,
            known_plugins=["needy"],
            environ={},
            dotenv=None,
        ).plugin("needy")

    with pytest.raises(ConfigurationError, match=re.escape("needy.url or as ASYNCTASQ_NEEDY_URL")):
        load_needy({})
    assert load_needy({"needy": {"url": "x"}}) == Needy("x")
    assert load_needy({"driver": "needy://x"}) == Needy("needy://x")


def test_a_good_settings_instance_is_taken() -> None:
    assert load({"driver": "shelf", "shelf": ShelfSettings(size=1)}).plugin("shelf") == (
        ShelfSettings(size=1)
    )
