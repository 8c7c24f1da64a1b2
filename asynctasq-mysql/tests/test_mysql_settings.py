"""Settings as fields and as a URL."""

from dataclasses import asdict

import pytest

from asynctasq import App
from asynctasq.errors import ConfigurationError
from asynctasq_mysql import MySQLDriver, MySQLSettings
from asynctasq_mysql.addresses import Address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mysql://db/shop", Address("db", 3306, "", "", None, "shop")),
        ("mariadb://u:p@db:3307/shop", Address("db", 3307, "", "u", "p", "shop")),
        ("mysql://u:@db/shop", Address("db", 3306, "", "u", "", "shop")),
        ("mysql://u@db/shop", Address("db", 3306, "", "u", None, "shop")),
        ("mysql://u:a@b/c%25:d@db/shop", Address("db", 3306, "", "u", "a@b/c%:d", "shop")),
        ("mysql://u%40x:p%3Fq@db/my%2Fshop", Address("db", 3306, "", "u@x", "p?q", "my/shop")),
        ("mysql://[::1]:3307/shop", Address("::1", 3307, "", "", None, "shop")),
        ("mysql:///shop", Address("localhost", 3306, "", "", None, "shop")),
    ],
)
def test_an_address_is_read_from_a_url(url: str, address: Address) -> None:
    assert asdict(MySQLDriver(url).settings.address()) == asdict(address)


def test_parameters_and_arguments_override_the_url() -> None:
    url = "mysql://u:p@db/shop?namespace=n&max_connections=3&tls=yes&socket=/run/my.sock&client=aiomysql"
    settings = MySQLDriver(url, port=3310, password="other", database="d").settings
    address = settings.address()
    assert (settings.namespace, settings.max_connections, settings.tls) == ("n", 3, True)
    assert (address.port, address.password, address.database) == (3310, "other", "d")
    assert address.socket == "/run/my.sock"


@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
async def test_a_url_chooses_the_driver(scheme: str) -> None:
    app = App({"driver": f"{scheme}://u:secret@db/shop?namespace=n"})
    try:
        description = MySQLDriver("mysql://u:secret@db/shop", namespace="n").description
        assert description == "mysql://u:***@db:3306/shop (n)"
    finally:
        app.close_sync()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgres://db/shop", "must begin with mysql"),
        ("db/shop", "must begin with mysql"),
        ("mysql://db", "must not be empty"),
        ("mysql://db:0/shop", "port from 1 to 65535"),
        ("mysql://db:x/shop", "port from 1 to 65535"),
        ("mysql://[::1/shop", "close the bracket"),
        ("mysql://db/shop/x", "only the name of a database"),
        ("mysql://db/shop?colour=red", "unknown parameter"),
        ("mysql://db/shop?max_connections=many", "whole number"),
        ("mysql://db/shop?table_prefix=a-b", "table_prefix must have"),
        ("mysql://db/shop?client=other", "must be one of"),
        ("mysql://db/shop?timeout=0", "positive number"),
        ("mysql://db/shop?q=1&a.b=2", "after its `?`"),
    ],
)
def test_a_url_that_is_wrong_is_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        MySQLDriver(url)
    assert words in str(caught.value)


def test_no_error_and_no_text_shows_a_password() -> None:
    driver = MySQLDriver("mysql://u:secret@db/shop")
    assert "secret" not in driver.description
    assert "secret" not in repr(driver.settings)
    with pytest.raises(ConfigurationError) as caught:
        MySQLDriver("mysql://u:secret@db:port/shop")
    assert "secret" not in str(caught.value)


def test_files_of_tls_are_read_when_they_are_needed() -> None:
    assert MySQLSettings("mysql://db/shop").tls_context() is None
    assert MySQLSettings("mysql://db/shop", tls=True).tls_context() is not None
    with pytest.raises(ConfigurationError, match="must be readable"):
        MySQLSettings("mysql://db/shop", tls_ca="/no/such/file").tls_context()
