"""A stand-in for Amazon SQS (moto's server), on a free port of the loopback."""

import os
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.processes import ServerProcess, free_port, private_folder

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def sqs_server() -> Iterator[str]:
    """Yield the URL of an endpoint, and stop it at the end."""
    with private_folder("sqs") as folder:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "tests.servers.moto_sqs", str(port)]
        process = ServerProcess(
            command, folder, environment={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        process.start(lambda: _answers(url))
        try:
            yield url
        finally:
            process.stop()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/moto-api/", timeout=30) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
