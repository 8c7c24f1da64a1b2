"""Encrypted connections trust the certificates of the AWS settings, and check the name of the host."""

import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from asynctasq.errors import DriverError
from asynctasq.message import Message, new_id
from asynctasq_sqs import SQSDriver
from tests.servers.packages import program
from tests.servers.sqs_proxy import SQSProxy, sqs_proxy

MakeDriver = Callable[..., SQSDriver]


def make_certificate(folder: Path, host: str) -> Path:
    """Create a certificate, which signs itself, and its key in one file."""
    openssl, file = program("openssl", package="openssl"), folder / "own.pem"
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={host}",
            "-addext", f"subjectAltName=DNS:{host}", "-addext", "keyUsage=critical,keyCertSign,digitalSignature",
            "-keyout", file, "-out", folder / "certificate.pem",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    file.write_text(file.read_text() + (folder / "certificate.pem").read_text())
    return file


@pytest.fixture
async def proxy(
    url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[SQSProxy]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(make_certificate(tmp_path, request.param))
    async with sqs_proxy(url, context) as proxy:
        yield proxy


async def works(driver: SQSDriver) -> None:
    try:
        await driver.open()
        await driver.enqueue([Message(new_id(), "q", "task", b"")])
    finally:
        await driver.close()


@pytest.mark.parametrize("proxy", ["localhost"], indirect=True)
async def test_certificates_of_the_environment_are_trusted(
    proxy: SQSProxy, make_driver: MakeDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DriverError, match="certificate"):
        await works(make_driver(endpoint_url=proxy.url))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    await works(make_driver(endpoint_url=proxy.url))


@pytest.mark.parametrize("proxy", ["elsewhere"], indirect=True)
async def test_a_certificate_of_another_host_is_refused(
    proxy: SQSProxy, make_driver: MakeDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    with pytest.raises(DriverError, match="certificate"):
        await works(make_driver(endpoint_url=proxy.url))


async def test_a_missing_file_of_certificates_is_an_error(
    make_driver: MakeDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(DriverError, match=r"none\.pem"):
        await works(make_driver(endpoint_url="https://localhost:1"))
