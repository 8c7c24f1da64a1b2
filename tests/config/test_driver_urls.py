"""A driver may be given as a URL, which names the plugin and says some of its settings."""

from pathlib import Path

import pytest

from asynctasq.config import load_settings, mask_url, url_scheme
from asynctasq.drivers.sqlite.settings import SqliteSettings
from asynctasq.errors import ConfigurationError
from tests.config.toy_settings import ShelfSettings, WireSettings, load, shelf


def test_the_scheme_names_the_plugin_and_the_rest_is_its_settings() -> None:
    settings = load({"driver": "SHELF://u:p%40ss@h/srv/a%20b.db?size=5&mode=fast"})
    assert settings.driver_name == "shelf"
    assert settings.driver_instance is None
    made = shelf(settings)
    assert (made.path, made.password, made.size, made.mode) == (
        Path("/srv/a b.db"), "p@ss", 5, "fast",
    )  # fmt: skip


def test_without_from_url_the_url_is_a_setting() -> None:
    assert load({"driver": "wire://h:1/x"}).plugin("wire") == WireSettings(url="wire://h:1/x")


def test_a_plugin_without_settings_class_gets_the_url_in_its_dict() -> None:
    assert load({"driver": "sqlite:///x"}).plugin("sqlite") == {"url": "sqlite:///x"}


@pytest.mark.parametrize(
    "arguments, environ, path",
    [
        ({"driver": "shelf:///url"}, {"ASYNCTASQ_SHELF_PATH": "/variable"}, "/url"),
        ({"shelf": {"path": "/section"}}, {"ASYNCTASQ_DRIVER": "shelf:///url"}, "/section"),
        ({"shelf": ShelfSettings(path=Path("/object"))}, {"ASYNCTASQ_DRIVER": "shelf:///url"}, "/object"),
        ({"shelf": ShelfSettings(size=1)}, {"ASYNCTASQ_DRIVER": "shelf:///url"}, "/url"),
        ({"driver": "shelf"}, {"ASYNCTASQ_DRIVER": "shelf:///url"}, "shelf.db"),
        ({"driver": "shelf:///same", "shelf": {"path": "/same"}}, {}, "/same"),
        ({}, {"ASYNCTASQ_DRIVER": "shelf:///same", "ASYNCTASQ_SHELF_PATH": "/same"}, "/same"),
    ],
    ids=str,
)  # fmt: skip
def test_a_url_counts_where_it_stood(
    arguments: dict[str, object], environ: dict[str, str], path: str
) -> None:
    assert shelf(load(arguments, environ)).path == Path(path)


def test_a_variable_beats_a_url_in_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ASYNCTASQ_DRIVER=shelf:///url\n")
    settings = load({}, {"ASYNCTASQ_SHELF_PATH": "/variable"}, tmp_path / ".env")
    assert shelf(settings).path == Path("/variable")


@pytest.mark.parametrize(
    "arguments, environ, names",
    [
        ({"driver": "shelf:///a", "shelf": {"path": "/b"}}, {}, ("driver (arguments)", "shelf.path (arguments)")),
        ({"driver": "shelf:///a", "shelf": ShelfSettings(path=Path("/b"))}, {}, ("driver (arguments)", "shelf.path (arguments)")),
        ({}, {"ASYNCTASQ_DRIVER": "shelf:///a", "ASYNCTASQ_SHELF_PATH": "/b"}, ("ASYNCTASQ_DRIVER", "ASYNCTASQ_SHELF_PATH")),
        ({"driver": "sqlite://a", "sqlite": {"url": "sqlite://b"}}, {}, ("driver (arguments)", "sqlite.url (arguments)")),
    ],
    ids=str,
)  # fmt: skip
def test_a_url_that_contradicts_a_setting_is_an_error_that_names_both(
    arguments: dict[str, object], environ: dict[str, str], names: tuple[str, str]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(arguments, environ)
    assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize(
    "url, said",
    [
        ("shelf:///x?siez=5", "unknown setting siez in shelf:///x?siez=5; did you mean size?"),
        ("shelf:///x?size=many", "driver (arguments) must be a whole number, got 'many'"),
        ("shelf:///x#top", "driver (arguments): no fragment is allowed in shelf:///x#top"),
        ("shelf://[x", "driver (arguments): shelf://[x is not a valid URL of shelf: "),
    ],
)
def test_a_url_that_cannot_be_understood_is_an_error(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load({"driver": url})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "url, masked",
    [
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("sqlite:///srv/x:y@z.db", "sqlite:///srv/x:y@z.db"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://user@host", "redis://user@host"),
        ("redis://user:pw@host:6379/0", "redis://user:***@host:6379/0"),
        ("redis://:pw@host", "redis://:***@host"),
        ("redis://:pw/0", "redis://:***"),
        ("redis://u:1pw", "redis://u:***"),
        ("redis://h:1,[::1]:2,[::2]/0", "redis://h:1,[::1]:2,[::2]/0"),
        ("redis://u:p@ss@host", "redis://u:***@host"),
        ("redis://u:p/w@host/0", "redis://u:***@host/0"),
        ("redis://u:p#w?@host/0", "redis://u:***@host/0"),
        ("redis://u:p:w@host/0", "redis://u:***@host/0"),
        ("redis://u:p%40w@host/0", "redis://u:***@host/0"),
        ("redis://u:p://w@host/0", "redis://u:***@host/0"),
        ("redis://u:a@h1:1,u:b@h2:2/0", "redis://u:***@h2:2/0"),
        ("pg://h/x?password=pw&sslmode=on", "pg://h/x?password=***&sslmode=on"),
        ("pg://h/x?a=1&sslPassword=pw", "pg://h/x?a=1&sslPassword=***"),
        (
            "sqs://h/?aws_secret_access_key=k&region=r",
            "sqs://h/?aws_secret_access_key=***&region=r",
        ),
        ("pg://u:p@h/x?token=t", "pg://u:***@h/x?token=***"),
        ("redis:/u:pw@host", "redis:***@host"),
        ("host=h password=pw user=u", "host=h password=*** user=u"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_passwords_are_masked_however_they_are_written(url: str, masked: str) -> None:
    assert mask_url(url) == masked


@pytest.mark.parametrize(
    "text, scheme",
    [("redis://h", "redis"), ("a+b://", "a+b"), ("sqlite", None), ("C:\\x", None), ("://x", None)],
)
def test_a_url_is_told_from_a_name_by_its_scheme(text: str, scheme: str | None) -> None:
    assert url_scheme(text) == scheme


@pytest.mark.parametrize(
    "arguments, path, synchronous",
    [
        ({}, "asynctasq.db", "full"),
        ({"driver": "sqlite"}, "asynctasq.db", "full"),
        ({"driver": "sqlite:///work.db?synchronous=normal"}, "work.db", "normal"),
        ({"driver": "sqlite:////srv/a%20b.db"}, "/srv/a b.db", "full"),
        ({"driver": "sqlite", "sqlite": {"path": Path("work.db")}}, "work.db", "full"),
        ({"driver": "sqlite", "sqlite": lambda: SqliteSettings(path="work.db")}, "work.db", "full"),
        ({"driver": "sqlite:///work.db", "sqlite": lambda: SqliteSettings(synchronous="off")}, "work.db", "off"),
    ],
)  # fmt: skip
def test_the_embedded_driver_takes_every_form(
    tmp_path: Path, arguments: dict[str, object], path: str, synchronous: str
) -> None:
    # An instance makes its path absolute at once, so it is made in the test's own folder.
    made_here = {key: value() if callable(value) else value for key, value in arguments.items()}
    settings = load_settings(
        made_here,
        settings_class={"sqlite": SqliteSettings}.get,
        known_plugins=["sqlite"],
        environ={},
    )
    made = settings.plugin("sqlite")
    assert isinstance(made, SqliteSettings)
    assert (made.path, made.synchronous) == (str(tmp_path / path), synchronous)
