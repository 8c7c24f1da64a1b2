"""Every way in: passwords, ACL users, databases, sockets, TLS; all by URL or by settings."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asynctasq import App
from asynctasq.errors import ConfigurationError, DriverError, DriverUnavailable
from asynctasq.message import Message, new_id
from asynctasq_redis import RedisDriver, RedisSettings
from asynctasq_redis.addresses import Address, parse_address
from tests.servers.packages import program
from tests.servers.redis import RedisServer, redis_server

PASSWORD = "p@ss/w:rd%20?#"
ENCODED = "p%40ss%2Fw%3Ard%2520%3F%23"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server with a password, an ACL user, and a socket beside its port."""
    folder = tmp_path_factory.mktemp("guarded")
    options = ["--requirepass", PASSWORD, "--unixsocket", str(folder / "s")]
    with redis_server(folder, *options, password=PASSWORD) as server:
        with server.client() as client:
            client.execute_command(
                "ACL", "SETUSER", "worker", "on", f">{PASSWORD}", "~{asynctasq}:*",
                "&{asynctasq}:*", "+@all", "-@admin", "-@dangerous",
            )  # fmt: skip
        yield server


async def works(driver: RedisDriver) -> None:
    await driver.open()
    try:
        sent = Message(new_id(), "q", "task", b"body")
        await driver.enqueue([sent])
        await driver.wait(["q"], timeout=10.0)
        got = await driver.reserve({"q": 10}, limit=10, owner="one", lease=60.0)
        assert sent in [delivery.message for delivery in got]
    finally:
        await driver.close()


async def test_password_in_the_url(guarded: RedisServer) -> None:
    await works(RedisDriver(f"redis://:{ENCODED}@127.0.0.1:{guarded.port}/0"))


async def test_password_as_a_setting(guarded: RedisServer) -> None:
    await works(RedisDriver(guarded.url, password=PASSWORD, db=3))


async def test_acl_user(guarded: RedisServer) -> None:
    await works(RedisDriver(f"redis://worker:{ENCODED}@127.0.0.1:{guarded.port}"))


async def test_unix_socket(guarded: RedisServer) -> None:
    path = guarded.process.folder / "s"
    await works(RedisDriver(f"unix://:{ENCODED}@{path}"))
    await works(RedisDriver(f"unix://{path}", password=PASSWORD))


@pytest.mark.parametrize("password", [None, "wrong"])
async def test_a_wrong_password_is_an_error_that_repeating_does_not_help(
    guarded: RedisServer, password: str | None
) -> None:
    with pytest.raises(DriverError, match="refuses us") as refused:
        await works(RedisDriver(guarded.url, password=password))
    assert not isinstance(refused.value, DriverUnavailable)
    assert "wrong" not in str(refused.value).replace("wrong password", "")


async def test_databases_are_apart(url: str, namespace: str) -> None:
    first, second = (RedisDriver(f"{url}/{db}", namespace=namespace) for db in (1, 2))
    await first.open()
    await second.open()
    try:
        await first.enqueue([Message(new_id(), "q", "task", b"")])
        assert (await first.count("q")).ready == 1
        assert (await second.count("q")).ready == 0
    finally:
        await first.close()
        await second.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and a certificate for this machine."""
    folder = tmp_path_factory.mktemp("certificates")
    openssl = program("openssl", package="openssl")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "rsa:2048", "-nodes", "-days", "2")
    run("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=tests")
    run("req", *key[:3], "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=localhost")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
    run("x509", "-req", "-in", "own.csr", *signing, "-extfile", "names", "-out", "own.crt")
    return folder


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[RedisServer]:
    """A server that speaks TLS only, and wants to know who comes."""
    server = RedisServer(tmp_path_factory.mktemp("tls"))
    files = {name: str(certificates / f"{name}") for name in ("ca.crt", "own.crt", "own.key")}
    server.process.command += [
        "--port", "0", "--tls-port", str(server.port), "--tls-ca-cert-file", files["ca.crt"],
        "--tls-cert-file", files["own.crt"], "--tls-key-file", files["own.key"],
    ]  # fmt: skip
    server.url = f"rediss://127.0.0.1:{server.port}"
    server.start(
        ssl_ca_certs=files["ca.crt"], ssl_certfile=files["own.crt"], ssl_keyfile=files["own.key"]
    )
    yield server
    server.stop()


async def test_tls(tls: RedisServer, certificates: Path) -> None:
    ca, crt, key = (certificates / name for name in ("ca.crt", "own.crt", "own.key"))
    who: dict[str, Any] = {"tls_certificate": str(crt), "tls_key": str(key)}
    await works(RedisDriver(tls.url, tls_ca=str(ca), **who))
    await works(RedisDriver(tls.url, tls_verify=False, **who))
    settings = RedisSettings.from_url(f"{tls.url}?tls_ca={ca}&tls_certificate={crt}&tls_key={key}")
    made: Any = settings
    await works(RedisDriver.from_settings(RedisSettings(**made)))
    with pytest.raises(DriverUnavailable, match=r"(?i)certificate"):
        await works(RedisDriver(tls.url, **who))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", Address("single", False, (("localhost", 6379),))),
        ("redis://host", Address("single", False, (("host", 6379),))),
        ("rediss://host:1/2", Address("single", True, (("host", 1),), db=2)),
        ("redis://[::1]:7/", Address("single", False, (("::1", 7),))),
        (
            "redis://user:a@b/c@host/1",
            Address("single", False, (("host", 6379),), username="user", password="a@b/c", db=1),
        ),
        (
            "redis://:100%@host",
            Address("single", False, (("host", 6379),), password="100%"),
        ),
        ("unix:///run/redis.sock", Address("single", False, path="/run/redis.sock")),
        (
            "redis+sentinel://a,b:2/main/3",
            Address("sentinel", False, (("a", 26379), ("b", 2)), service="main", db=3),
        ),
        ("rediss+cluster://a,b", Address("cluster", True, (("a", 6379), ("b", 6379)))),
    ],
)
def test_urls(url: str, expected: Address) -> None:
    assert parse_address(url) == expected


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("http://host", "begins with"),
        ("redis://host:port", "port"),
        ("redis://host:99999", "port"),
        ("redis://host/db", "database"),
        ("redis://host/1/2", "database number"),
        ("redis+sentinel://host", "SERVICE"),
        ("redis://host?tmieout=3", "did you mean 'timeout'"),
        ("redis://host?timeout=long", "timeout"),
        ("redis://host?namespace=", "namespace"),
        ("redis://host?timeout=-1", "positive"),
        ("redis+cluster://host?db=2", "cluster"),
        ("redis://[::1", "bracket"),
    ],
)
def test_a_wrong_url_is_an_error_that_says_so(url: str, part: str) -> None:
    with pytest.raises(ConfigurationError, match=part):
        RedisDriver(url)


def test_a_wrong_url_does_not_tell_its_password() -> None:
    with pytest.raises(ConfigurationError) as caught:
        RedisDriver("redis://:hunter2@host:port")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["redis://u:hunter2@h", "rediss+cluster://u:hunter2@a,b", "redis+sentinel://:hunter2@a/s"],
)
def test_descriptions_hide_passwords(url: str) -> None:
    description = RedisDriver(url).description
    assert "hunter2" not in description
    assert "***" in description


def test_a_driver_is_made_without_a_loop_or_a_client() -> None:
    driver = RedisDriver(
        url="redis://custom-host:6379", password="secret", db=1, max_connections=20
    )
    assert driver.settings.address().hosts == (("custom-host", 6379),)
    assert driver.clone().settings == driver.settings


@pytest.mark.parametrize("scheme", ["rediss", "redis+sentinel", "valkey"])
def test_every_scheme_has_the_section_redis(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASYNCTASQ_REDIS_NAMESPACE", "shop")
    place = "nowhere/service" if "sentinel" in scheme else "nowhere"
    app = App({"driver": f"{scheme}://{place}", "redis": {"max_connections": 3}})
    settings = app.settings.plugin(scheme)
    assert isinstance(settings, RedisSettings)
    assert (settings.namespace, settings.max_connections) == ("shop", 3)
    assert settings.url.startswith(scheme)


def test_a_mistake_in_a_variable_is_told_by_its_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASYNCTASQ_REDIS_NAMESPASE", "shop")
    with pytest.raises(ConfigurationError, match="ASYNCTASQ_REDIS_NAMESPACE"):
        App({"driver": "rediss://nowhere"})
