"""Settings as fields and as a URL."""

from typing import Any
from urllib.parse import quote

import pytest

from asynctasq.errors import ConfigurationError
from asynctasq_postgres import PostgresDriver, PostgresSettings
from asynctasq_postgres.addresses import Address

PASSWORDS = ["p@ss/word", "a%:b", "?#&=", "ü 'x'", "100%"]


def of_url(url: str) -> PostgresSettings:
    values: dict[str, Any] = dict(PostgresSettings.from_url(url))
    return PostgresSettings(**values)


@pytest.mark.parametrize("password", PASSWORDS)
def test_every_password_can_be_given_as_a_field_and_encoded_in_a_url(password: str) -> None:
    assert PostgresSettings(password=password).address().password == password
    settings = of_url(f"postgresql://user:{quote(password, safe='')}@host/db")
    assert settings.address().password == password
    assert quote(password, safe="") not in repr(settings)
    assert password not in settings.description


@pytest.mark.parametrize("password", ["p@ss/word", "a:b", "100%"])
def test_a_password_may_have_most_characters_as_they_are(password: str) -> None:
    assert of_url(f"postgres://user:{password}@host/db").address().password == password


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://", (("localhost", 5432),)),
        ("postgresql://one:6000,two/db", (("one", 6000), ("two", 5432))),
        ("postgresql://[::1]:6000/db", (("::1", 6000),)),
        ("postgresql://u@[::1]/db", (("::1", 5432),)),
        ("postgresql://%2Fvar%2Frun%2Fpostgresql/db", (("/var/run/postgresql", 5432),)),
        ("postgresql:///db?host=/var/run/postgresql", (("/var/run/postgresql", 5432),)),
        ("postgresql:///db?host=::1&port=6000", (("::1", 6000),)),
    ],
)
def test_hosts(url: str, hosts: tuple[tuple[str, int], ...]) -> None:
    assert of_url(url).address().hosts == hosts


def test_fields_override_the_url() -> None:
    settings = PostgresSettings(
        url="postgresql://a:b@one/c", host="two", username="d", password="e", database="f"
    )
    assert settings.address() == Address((("two", 5432),), "d", "e", "f")


def test_parameters_of_libpq_are_known() -> None:
    settings = of_url(
        "postgres://h/d?sslmode=verify-full&sslrootcert=/ca.pem&statement_cache_size=0"
    )
    assert (settings.tls, settings.tls_ca, settings.statement_cache_size) == (
        "verify-full",
        "/ca.pem",
        0,
    )


def test_the_connection_for_notifications_has_an_address_of_its_own() -> None:
    settings = PostgresSettings(
        url="postgresql://pooler:6432/d",
        username="u",
        password="p",
        listen_url="postgresql://direct/d",
    )
    assert settings.listen_address() == Address((("direct", 5432),), "u", "p", "d")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"url": "mysql://h/d"}, "postgres.url"),
        ({"url": "postgresql://h/d/e"}, "postgres.url"),
        ({"url": "postgresql://h:port/d"}, "postgres.url"),
        ({"url": "postgresql://[::1/d"}, "postgres.url"),
        ({"listen_url": "redis://h"}, "postgres.url"),
        ({"schema": 'a"b'}, "postgres.schema"),
        ({"table_prefix": "a-"}, "postgres.table_prefix"),
        ({"namespace": ""}, "postgres.namespace"),
        ({"namespace": "\0"}, "postgres.namespace"),
        ({"max_connections": 0}, "postgres.max_connections"),
        ({"timeout": float("nan")}, "postgres.timeout"),
        ({"tls": "always"}, "postgres.tls"),
        ({"synchronous_commit": "maybe"}, "postgres.synchronous_commit"),
        ({"listen": "yes"}, "postgres.listen"),
    ],
)
def test_wrong_settings_are_refused_by_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        PostgresSettings(**settings)


def test_an_unknown_parameter_is_refused_without_its_text() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'timeout'") as caught:
        PostgresSettings.from_url("postgresql://h/d?timeuot=secret")
    assert "secret" not in str(caught.value)


def test_the_driver_takes_the_settings_as_arguments() -> None:
    driver = PostgresDriver("postgresql://h/d?namespace=shop", max_connections=5)
    assert (driver.settings.namespace, driver.settings.max_connections) == ("shop", 5)
    assert driver.clone().settings == driver.settings
