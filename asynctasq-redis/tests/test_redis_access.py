"""Connections: passwords, ACL users, databases, sockets and TLS, by URL and by settings."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from asynctasq import App
from asynctasq.errors import ConfigurationError, DriverError, DriverUnavailable
from asynctasq.message import Message, new_id
from asynctasq_redis import RedisDriver, RedisSettings
from asynctasq_redis.addresses import Address, parse_address
from tests.servers.packages import program
from tests.servers.redis import RedisServer, redis_server

PASSWORD = "p@ss/w:rd%20?#"
DOCUMENT = Path(__file__).parents[2] / "docs" / "redis.md"
ENCODED = "p%40ss%2Fw%3Ard%2520%3F%23"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Yield a server with a password, an ACL user, and a socket beside its port."""
    folder = tmp_path_factory.mktemp("guarded")
    options = ["--requirepass", PASSWORD, "--unixsocket", str(folder / "s")]
    with redis_server(folder, *options, password=PASSWORD) as server:
        with server.client() as client:
            [line] = re.findall("^ACL SETUSER .*$", DOCUMENT.read_text(), re.MULTILINE)
            words = [f">{PASSWORD}" if word == ">password" else word for word in line.split()]
            client.execute_command(*words)
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


async def test_acl_user(guarded: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """The user has the rights of the documentation."""
    await works(RedisDriver(f"redis://worker:{ENCODED}@127.0.0.1:{guarded.port}"))
    await works(RedisDriver(guarded.url, username="worker", password=PASSWORD))
    assert not caplog.messages


async def test_unix_socket(guarded: RedisServer) -> None:
    path = guarded.process.folder / "s"
    await works(RedisDriver(f"unix://:{ENCODED}@{path}?db=4"))
    await works(RedisDriver(f"unix://{path}", password=PASSWORD))


@pytest.mark.parametrize(
    "password",
    [
        "@",
        ":",
        "/",
        "?",
        "#",
        "%",
        "%40",
        "&=+",
        " ",
        "'\"`$\\",
        "[::1]",
        "pass\tword",
        "pässwörd€🔑",
        "{}|^~<>,;!*()",
    ],
)
async def test_passwords_of_any_character(guarded: RedisServer, password: str) -> None:
    """They are encoded in a URL, given as a parameter, and as a setting."""
    with guarded.client() as client:
        client.execute_command(
            "ACL", "SETUSER", "any", "reset", "on", f">{password}", "~*", "&*", "+@all"
        )
    encoded, port = quote(password, safe=""), guarded.port
    for driver in (
        RedisDriver(f"redis://any:{encoded}@127.0.0.1:{port}"),
        RedisDriver(f"redis://any@127.0.0.1:{port}?password={encoded}"),
        RedisDriver(guarded.url, username="any", password=password),
    ):
        await driver.open()
        await driver.close()
        assert password not in repr(driver.settings) or len(password) == 1


def test_every_kind_of_connection_works_on_uvloop(
    guarded: RedisServer, tls: RedisServer, certificates: Path
) -> None:
    """Workers run on uvloop."""
    uvloop = pytest.importorskip("uvloop")
    files = {"tls_certificate": certificates / "own.crt", "tls_key": certificates / "own.key"}
    secure: Any = {name: str(path) for name, path in files.items()}
    drivers = [
        RedisDriver(guarded.url, password=PASSWORD),
        RedisDriver(f"unix://{guarded.process.folder / 's'}", password=PASSWORD),
        RedisDriver(tls.url, tls_ca=str(certificates / "ca.crt"), **secure),
    ]
    for driver in drivers:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(works(driver))


async def test_all_settings_of_an_app(tls: RedisServer, certificates: Path) -> None:
    redis = {
        "url": tls.url,
        "db": 5,
        "tls_ca": str(certificates / "ca.crt"),
        "tls_certificate": str(certificates / "own.crt"),
        "tls_key": str(certificates / "own.key"),
    }
    async with App({"driver": "redis", "redis": redis}) as app:
        driver: Any = await app.driver()
        assert driver.description == f"rediss://127.0.0.1:{tls.port}/5 (asynctasq)"
        assert (await driver.count("q")).ready == 0


@pytest.mark.usefixtures("tls")  # which finds out whether this Redis speaks it
async def test_cluster_with_tls_and_a_password(tmp_path: Path, certificates: Path) -> None:
    server = _tls_server(tmp_path, certificates, "--cluster-enabled", "yes", "--tls-cluster", "yes")
    server.process.command += ["--requirepass", PASSWORD]
    server.start(**_client_tls(certificates), password=PASSWORD)
    try:
        with server.client() as client:
            client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
            async with asyncio.timeout(30.0):
                while "cluster_state:ok" not in str(client.execute_command("CLUSTER", "INFO")):
                    await asyncio.sleep(0.02)
        await works(
            RedisDriver(
                f"rediss+cluster://:{ENCODED}@127.0.0.1:{server.port}", **_driver_tls(certificates)
            )
        )
    finally:
        server.stop()


@pytest.mark.usefixtures("tls")
async def test_sentinels_with_tls_and_their_own_passwords(
    tmp_path: Path, certificates: Path
) -> None:
    server = _tls_server(tmp_path / "server", certificates)
    server.process.command += ["--requirepass", PASSWORD]
    server.start(**_client_tls(certificates), password=PASSWORD)
    sentinel = _tls_server(tmp_path / "sentinel", certificates)
    (tmp_path / "sentinel" / "sentinel.conf").write_text(
        f"sentinel monitor main 127.0.0.1 {server.port} 1\n"
        'requirepass "of sentinels"\ntls-replication yes\n'
        f"sentinel auth-pass main {PASSWORD}\n"
    )
    program, *options = sentinel.process.command
    sentinel.process.command = [program, "sentinel.conf", "--sentinel", *options]
    sentinel.start(**_client_tls(certificates), password="of sentinels")
    address = f"rediss+sentinel://:{ENCODED}@127.0.0.1:{sentinel.port}/main"
    try:
        await works(
            RedisDriver(address, sentinel_password="of sentinels", **_driver_tls(certificates))
        )
        with pytest.raises(DriverError, match=r"refuses this user|cannot be reached"):
            await RedisDriver(address, **_driver_tls(certificates)).open()
    finally:
        sentinel.stop()
        server.stop()


@pytest.mark.parametrize("password", [None, "wrong"])
async def test_wrong_password_is_a_lasting_error(
    guarded: RedisServer, password: str | None
) -> None:
    with pytest.raises(DriverError, match="refuses this user") as refused:
        await works(RedisDriver(guarded.url, password=password))
    assert not isinstance(refused.value, DriverUnavailable)
    assert "wrong" not in str(refused.value).replace("wrong password", "")


async def test_databases_are_separate(url: str, namespace: str) -> None:
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
    """Create an authority and a certificate for this machine."""
    folder = tmp_path_factory.mktemp("certificates")
    openssl = program("openssl", package="openssl")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "rsa:2048", "-nodes", "-days", "2")
    may_sign = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")  # Python 3.13 wants to read it
    run(
        "req", "-x509", *key, *may_sign, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=tests"
    )
    run("rsa", "-aes256", "-passout", "pass:word", "-in", "ca.key", "-out", "locked.key")
    (folder / "bad.pem").write_text("nothing of the kind")
    run("req", *key[:3], "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=localhost")
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n"
    (folder / "names").write_text(names)
    signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
    run("x509", "-req", "-in", "own.csr", *signing, "-extfile", "names", "-out", "own.crt")
    return folder


def _tls_server(folder: Path, certificates: Path, *options: str) -> RedisServer:
    """Return a server, not started, that accepts TLS only and asks for client certificates."""
    server = RedisServer(folder, *options)
    server.process.command += [
        "--port", "0", "--tls-port", str(server.port),
        "--tls-ca-cert-file", str(certificates / "ca.crt"),
        "--tls-cert-file", str(certificates / "own.crt"),
        "--tls-key-file", str(certificates / "own.key"),
    ]  # fmt: skip
    server.url = f"rediss://127.0.0.1:{server.port}"
    return server


def _client_tls(certificates: Path) -> dict[str, str]:
    names = {"ssl_ca_certs": "ca.crt", "ssl_certfile": "own.crt", "ssl_keyfile": "own.key"}
    return {setting: str(certificates / name) for setting, name in names.items()}


def _driver_tls(certificates: Path) -> dict[str, Any]:
    names = {"tls_ca": "ca.crt", "tls_certificate": "own.crt", "tls_key": "own.key"}
    return {setting: str(certificates / name) for setting, name in names.items()}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[RedisServer]:
    """Return such a server, started."""
    server = _tls_server(tmp_path_factory.mktemp("tls"), certificates)
    try:
        server.start(**_client_tls(certificates))
    except RuntimeError as error:
        if "tls-port" not in str(error):
            raise
        pytest.skip("this Redis was built without TLS")
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


NO_FILES: list[tuple[dict[str, str], str]] = [
    ({"tls_ca": "none.crt"}, r"redis\.tls_ca must be .*, got 'none\.crt' .*No such file"),
    ({"tls_ca": "."}, r"redis\.tls_ca must be a PEM file that can be read, got '\.'"),
    ({"tls_ca": "bad\0"}, r"redis\.tls_ca must be .*, got 'bad\\x00'"),
    ({"tls_ca": "bad.pem"}, r"redis\.tls_ca must be a PEM file of certificates, got 'bad\.pem'"),
    ({"tls_certificate": "none.crt"}, r"redis\.tls_certificate must be .*, got 'none\.crt'"),
    (
        {"tls_certificate": "bad.pem"},
        r"redis\.tls_certificate .* must be PEM files .* got 'bad\.pem'",
    ),
    (
        {"tls_certificate": "own.crt", "tls_key": "none.key"},
        r"redis\.tls_key must be .*, got 'none\.key'",
    ),
    (
        {"tls_certificate": "own.crt", "tls_key": "ca.key"},
        r"redis\.tls_key must .*'ca\.key'.* mismatch",
    ),
    ({"tls_certificate": "own.crt", "tls_key": "locked.key"}, "its key without a password"),
    ({"tls_key": "own.key"}, r"redis\.tls_certificate must be set if redis\.tls_key is"),
]


@pytest.mark.parametrize("scheme", ["rediss", "rediss+cluster"])
@pytest.mark.parametrize(("files", "told"), NO_FILES)
async def test_unusable_tls_file_is_an_error_that_names_its_setting(
    certificates: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    files: dict[str, Any],
    told: str,
) -> None:
    monkeypatch.chdir(certificates)
    with pytest.raises(ConfigurationError, match=told):
        await RedisDriver(f"{scheme}://localhost:1", **files).open()


async def test_the_documented_configuration(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    [lines] = re.findall(
        "^```text\n(appendonly.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL
    )
    server = RedisServer(tmp_path)
    (tmp_path / "redis.conf").write_text(lines)
    program, *options = server.process.command
    server.process.command = [program, "redis.conf", *options]
    server.start()
    try:
        await works(RedisDriver(server.url))
    finally:
        server.stop()
    assert not caplog.messages


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
        ("http://host", "begin with"),
        ("redis://host:port", "port"),
        ("redis://host:99999", "port"),
        ("redis://host/db", "database"),
        ("redis://host/1/2", "database number"),
        ("redis+sentinel://host", "SERVICE"),
        ("redis://host?tmieout=3", "Did you mean 'timeout'"),
        ("redis://host?timeout=long", "timeout"),
        ("redis://host?namespace=", "namespace"),
        ("redis://host?timeout=-1", "positive"),
        ("redis+cluster://host?db=2", "cluster"),
        ("redis://[::1", "bracket"),
        ("redis://host?db=-1", r"redis\.db must be .*, got -1"),
        ("unix://", "unix:///run/redis/redis.sock"),
        ("unix://user:pass@", "path of the socket"),
        ("unix:///", "path of the socket"),
        ("redis://a:1,b:2/0", r"one host.*redis\+cluster://"),
        ("rediss://a,b", r"one host.*redis\+sentinel://"),
    ],
)
def test_wrong_url_is_an_error_that_says_what_is_wrong(url: str, part: str) -> None:
    with pytest.raises(ConfigurationError, match=part):
        RedisDriver(url)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("url", None, "of the type str, got NoneType."),
        ("db", "1", r"of the type int \| None, got str."),
        ("db", -1, "a positive number, got -1."),
        ("namespace", b"hunter2", "of the type str, got bytes."),
        ("password", b"hunter2", r"of the type str \| None, got bytes."),
        ("max_connections", "5", "of the type int, got str."),
        ("max_connections", 1.5, "of the type int, got float."),
        ("max_connections", True, "of the type int, got bool."),
        ("timeout", "3", "of the type float, got str."),
        ("tls_verify", "no", "of the type bool, got str."),
    ],
)
def test_setting_of_the_wrong_type_is_an_error_that_names_it(
    name: str, value: Any, told: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"^redis\.{name} must be {told}") as caught:
        RedisDriver(**{name: value})
    assert "hunter2" not in str(caught.value)
    assert RedisDriver(timeout=3).settings.timeout == 3  # a whole number is a number


def test_argument_overrides_the_url_even_with_the_default() -> None:
    defaults = RedisSettings()
    url = "redis://h?timeout=3&max_connections=7&namespace=shop&tls_verify=no"
    assert RedisDriver(url).settings.timeout == 3.0
    settings = RedisDriver(
        url,
        timeout=defaults.timeout,
        max_connections=defaults.max_connections,
        namespace=defaults.namespace,
        tls_verify=defaults.tls_verify,
    ).settings
    assert settings == RedisSettings("redis://h")


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@host:port",
        "redis://:hunter2",
        "redis://:hunter2/host",
        "redis://user:hun/ter2/1",
        "redis://:hun?ter2@host",
        "redis://:hun?ter2=@host",
        "redis:/:hunter2@host",
        "redis://host/hunter2",
        "redis://host?passwort=hunter2",
        "redis://host?db=hunter2",
        "redis+sentinel://:hunter2/1/2/3",
    ],
)
def test_error_of_a_wrong_url_hides_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RedisDriver(url)
    assert "ter2" not in str(caught.value)
    if "://host" not in url:  # there an app says which URL it was
        with pytest.raises(ConfigurationError) as caught:
            App({"driver": url})
        assert "ter2" not in str(caught.value)


def test_reprs_hide_passwords() -> None:
    driver = RedisDriver("redis://u:hunter2@h", sentinel_password=None, tls_key="key")
    other = RedisDriver("redis+sentinel://h/s", password="hunter2", sentinel_password="hunter3")
    for each in (driver, other):
        for shown in (each.settings, each.settings.address(), each, vars(each)):
            assert "hunter" not in repr(shown)


@pytest.mark.parametrize(
    "url",
    ["redis://u:hunter2@h", "rediss+cluster://u:hunter2@a,b", "redis+sentinel://:hunter2@a/s"],
)
def test_descriptions_hide_passwords(url: str) -> None:
    description = RedisDriver(url).description
    assert "hunter2" not in description
    assert "***" in description


def test_driver_is_created_without_a_loop_or_a_client() -> None:
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


def test_error_in_an_environment_variable_names_its_section(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ASYNCTASQ_REDIS_NAMESPASE", "shop")
    with pytest.raises(ConfigurationError, match="ASYNCTASQ_REDIS_NAMESPACE"):
        App({"driver": "rediss://nowhere"})
