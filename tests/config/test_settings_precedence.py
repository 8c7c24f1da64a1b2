"""The command line beats arguments, these the environment, that `.env`, that the defaults."""

from pathlib import Path

import pytest

from asynctasq.config import Settings, load_settings
from asynctasq.records import record
from tests.config.toy_settings import FakeDriver, FakeSerializer, ShelfSettings, load, shelf

ARGUMENT, ENVIRONMENT, DOTENV = 1, 2, 3


@pytest.mark.parametrize(
    "places, winner",
    [
        ((), 100),
        ((DOTENV,), DOTENV),
        ((ENVIRONMENT,), ENVIRONMENT),
        ((ARGUMENT,), ARGUMENT),
        ((DOTENV, ENVIRONMENT), ENVIRONMENT),
        ((DOTENV, ARGUMENT), ARGUMENT),
        ((ENVIRONMENT, ARGUMENT), ARGUMENT),
        ((DOTENV, ENVIRONMENT, ARGUMENT), ARGUMENT),
    ],
)
def test_each_source_beats_those_below_it(
    tmp_path: Path, places: tuple[int, ...], winner: int
) -> None:
    dotenv = tmp_path / ".env"
    if DOTENV in places:
        dotenv.write_text(f"ASYNCTASQ_CONCURRENCY={DOTENV}\nASYNCTASQ_SHELF_SIZE={DOTENV}\n")
    environ = {"ASYNCTASQ_CONCURRENCY": str(ENVIRONMENT), "ASYNCTASQ_SHELF_SIZE": str(ENVIRONMENT)}
    arguments = {"driver": "shelf", "concurrency": ARGUMENT, "shelf": {"size": ARGUMENT}}

    settings = load(
        arguments if ARGUMENT in places else {"driver": "shelf"},
        environ if ENVIRONMENT in places else {},
        dotenv,
    )

    assert settings.concurrency == winner
    assert shelf(settings).size == (winner if places else 10)


def test_the_command_line_beats_everything() -> None:
    settings = load(
        {"driver": "wire", "concurrency": 1, "shelf": {"path": "/section"}},
        {"ASYNCTASQ_DRIVER": "wire", "ASYNCTASQ_SHELF_PATH": "/variable"},
        command_line={"driver": "shelf:///option", "concurrency": 2},
    )
    assert (settings.driver_name, settings.concurrency) == ("shelf", 2)
    assert shelf(settings).path == Path("/option")


def test_nothing_given_means_the_embedded_driver_and_the_defaults() -> None:
    settings = load()
    assert settings == Settings(sections=settings.sections)
    assert (settings.driver_name, settings.serializer) == ("sqlite", "msgpack")
    assert (settings.lease, settings.heartbeat_interval, settings.stall_limit) == (None, None, None)


def test_none_given_in_code_beats_a_number_in_the_environment() -> None:
    environ = {"ASYNCTASQ_DEFAULT_TIMEOUT": "5"}
    assert load({}, environ).default_timeout == 5.0
    assert load({"default_timeout": None}, environ).default_timeout is None


def test_none_in_the_environment_beats_a_number_in_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ASYNCTASQ_DEFAULT_TIMEOUT=5\n")
    for word in ("", "none", "None"):
        settings = load({}, {"ASYNCTASQ_DEFAULT_TIMEOUT": word}, tmp_path / ".env")
        assert settings.default_timeout is None


def test_an_empty_list_in_code_beats_a_full_one_in_the_environment() -> None:
    assert load({"queues": []}, {"ASYNCTASQ_QUEUES": "a,b"}).queues == ()


def test_a_driver_instance_needs_no_plugin_and_beats_the_environment() -> None:
    driver = FakeDriver()
    settings = load({"driver": driver}, {"ASYNCTASQ_DRIVER": "shelf", "ASYNCTASQ_SHELF_PTH": "x"})
    assert settings.driver_instance is driver
    assert settings.driver_name == "FakeDriver"


def test_a_serializer_instance_needs_no_plugin_and_beats_the_environment() -> None:
    serializer = FakeSerializer("ours")
    settings = load({"serializer": serializer}, {"ASYNCTASQ_SERIALIZER": "json"})
    assert settings.serializer_instance is serializer
    assert settings.serializer == "ours"
    assert settings != load({"serializer": FakeSerializer("ours")})


def test_sections_mix_what_different_sources_say() -> None:
    settings = load(
        {"driver": "shelf", "shelf": {"size": 3}},
        {"ASYNCTASQ_SHELF_NAMESPACE": "shop", "ASYNCTASQ_SHELF_SIZE": "4"},
    )
    assert (shelf(settings).size, shelf(settings).namespace) == (3, "shop")


def test_a_settings_instance_says_what_differs_from_its_defaults() -> None:
    settings = load(
        {"driver": "shelf", "shelf": ShelfSettings(size=3)},
        {"ASYNCTASQ_SHELF_NAMESPACE": "shop", "ASYNCTASQ_SHELF_SIZE": "4"},
    )
    assert (shelf(settings).size, shelf(settings).namespace) == (3, "shop")


def test_a_default_that_the_class_changes_itself_is_not_said() -> None:
    @record
    class Absolute:
        path: str = "x"
        size: int = 1

        def __post_init__(self) -> None:
            object.__setattr__(self, "path", f"/{self.path.strip('/')}")

    settings = load_settings(
        {"driver": "absolute", "absolute": Absolute(size=2)},
        settings_class={"absolute": Absolute}.get,
        known_plugins=["absolute"],
        environ={"ASYNCTASQ_ABSOLUTE_PATH": "variable"},
        dotenv=None,
    )
    assert settings.plugin("absolute") == Absolute(path="/variable", size=2)


def test_a_plugin_used_later_reads_the_same_environment() -> None:
    settings = load({}, {"ASYNCTASQ_SHELF_SIZE": "7"})
    assert shelf(settings).size == 7
    assert settings.plugin("shelf") is settings.plugin("shelf")


def test_a_plugin_without_settings_class_gets_a_dict() -> None:
    settings = load({"sqlite": {"path": "a", "x": 1}}, {"ASYNCTASQ_SQLITE_Y": "2"})
    assert settings.plugin("sqlite") == {"path": "a", "x": 1, "y": "2"}
    assert settings.plugin("json") == {}


@pytest.mark.parametrize(
    "first, second",
    [
        ({}, None),
        ({"concurrency": 5}, {"concurrency": 5}),
        ({"lease": 30}, {"lease": 30.0}),
        ({"queues": ["a"]}, {"queues": ("a",)}),
        ({"queues": "a"}, {"queues": ["a"]}),
        ({"driver": "shelf:///x"}, {"driver": "shelf", "shelf": {"path": "/x"}}),
        (
            {"driver": "shelf", "shelf": {"size": 3}},
            {"driver": "shelf", "shelf": ShelfSettings(size=3)},
        ),
        ({"driver": "redis://h/0"}, {"driver": "redis://h/0"}),
    ],
)
def test_settings_that_say_the_same_are_equal(
    first: dict[str, object], second: dict[str, object] | None
) -> None:
    assert load(first) == load(second)
    assert hash(load(first)) == hash(load(second))


@pytest.mark.parametrize(
    "first, second",
    [
        ({}, {"concurrency": 5}),
        ({"driver": "shelf"}, {"driver": "wire"}),
        ({"driver": "shelf:///x"}, {"driver": "shelf:///y"}),
        ({"driver": "redis://h/0"}, {"driver": "redis://h/1"}),
        ({"driver": "shelf", "shelf": {"size": 3}}, {"driver": "shelf"}),
        ({"wire": {"retries": 3}}, {}),
        ({"redis": {"db": 3}}, {}),
        ({"driver": FakeDriver()}, {"driver": FakeDriver()}),
    ],
)
def test_settings_that_differ_are_not_equal(
    first: dict[str, object], second: dict[str, object]
) -> None:
    assert load(first) != load(second)


def test_looking_at_a_plugin_does_not_make_equal_settings_differ() -> None:
    looked, other = load({}, {"ASYNCTASQ_SHELF_SIZE": "7"}), load({}, {"ASYNCTASQ_SHELF_SIZE": "7"})
    shelf(looked)
    assert looked == other
    assert looked != load({}, {"ASYNCTASQ_SHELF_SIZE": "8"})
