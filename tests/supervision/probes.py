"""Asking a worker over HTTP how it is."""

import http.client
import json
from typing import Any

from tests.cli.processes import WorkerProcess


def ask(port: int, path: str, *, method: str = "GET") -> tuple[int, dict[str, Any]]:
    """Return the code and the content of an answer; the code is 0 if no process listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read()
    except OSError:
        return 0, {}
    finally:
        connection.close()
    return answer.status, json.loads(body) if body else {}


async def port_of(worker: WorkerProcess) -> int:
    """Return the port on which a process with `--health-port 0` serves its health."""
    await worker.told("Serving health at ")
    line = next(line for line in worker.output.splitlines() if "Serving health at " in line)
    return int(line.rpartition(":")[2].rstrip("."))
