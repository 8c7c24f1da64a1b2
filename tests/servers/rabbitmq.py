"""RabbitMQ servers of our own, on free ports of the loopback."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers.packages import program
from tests.servers.processes import ServerProcess, free_port, private_folder, unprivileged

SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Debian's program on the path switches to a fixed user; this is the program that it runs."""
GREETING = b"AMQP\0\0\x09\x01"


class RabbitmqServer:
    """A server that tests may stop, kill and start again, with its data."""

    def __init__(self, folder: Path, user: str | None, arguments: Sequence[str]) -> None:
        found = program("rabbitmq-server", package="rabbitmq-server")
        port, directory_port = free_port(), free_port()
        environment = _environment(folder, port, directory_port, arguments)
        # Erlang would leave its directory of nodes running; it uses one that it finds.
        self._directory = ServerProcess(
            [_erlang("epmd"), "-port", str(directory_port), "-address", "127.0.0.1"],
            folder,
            user=user,
            environment=environment,
        )
        self._server = ServerProcess(
            [str(SCRIPT) if SCRIPT.exists() else found],
            folder,
            user=user,
            environment=environment,
        )
        self._directory_port = directory_port
        self.port = port

    def url(self, user: str = "guest") -> str:
        """Return the URL for a user whose password is its name."""
        return f"amqp://{user}:{user}@127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start the server, and return when it answers."""
        if self._directory.pid is None:
            self._directory.start(lambda: _listens(self._directory_port))
        self._server.start(lambda: _speaks(self.port))

    def evaluate(self, expression: str) -> str:
        """Evaluate an Erlang expression in the server, as its operator may; return the result as text."""
        environment = dict(self._server.environment or {})
        cookie = (self._server.folder / ".erlang.cookie").read_text()
        done = subprocess.run(
            [
                *(_erlang("erl_call"), "-c", cookie),
                *("-sname", environment["RABBITMQ_NODENAME"], "-e"),
            ],
            input=f"{expression}.\n".encode(),
            env=environment,
            capture_output=True,
            check=False,
            timeout=30.0,
        )
        answer = done.stdout.decode(errors="replace")
        if done.returncode or not answer.startswith("{ok,"):
            raise RuntimeError(f"the server did not evaluate {expression!r}: {answer}")
        return answer.removeprefix("{ok,").removesuffix("}").strip()

    def end_queue(self, name: str) -> None:
        """Let a classic queue fail. It starts again with its messages, and its consumers are cancelled."""
        self.evaluate(
            "[exit(amqqueue:get_pid(Q), kill) || Q <- rabbit_amqqueue:list(), "
            f'element(4, amqqueue:get_name(Q)) =:= <<"{name}">>]'
        )

    def suspend(self) -> None:
        """Stop the process of the server, as a machine does that swaps."""
        self._server.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the server go on."""
        self._server.resume()

    def kill(self) -> None:
        """Kill the server."""
        self._server.stop(signal.SIGKILL)

    def stop(self) -> None:
        """End the server and all that belongs to it."""
        self.kill()  # a clean stop would take seconds, and the data is discarded anyway
        self._directory.stop(signal.SIGKILL)


@contextmanager
def rabbitmq_process(
    *arguments: str, definitions: Mapping[str, object] | None = None
) -> Iterator[RabbitmqServer]:
    """Yield a server of its own, and stop it at the end.

    Args:
        arguments: settings as arguments of Erlang, such as `-rabbit consumer_timeout 3000`.
        definitions: users and their rights, which the server imports when it starts.
    """
    user = unprivileged()
    with private_folder("rabbitmq", user) as folder:
        if definitions is not None:
            (folder / "definitions.json").write_text(json.dumps(definitions))
            (folder / "none.conf").write_text(f"load_definitions = {folder}/definitions.json\n")
        server = RabbitmqServer(folder, user, arguments)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def rabbitmq_server() -> Iterator[str]:
    """Yield the URL of a server, and stop it at the end."""
    with rabbitmq_process() as server:
        yield server.url()


def _environment(
    folder: Path, port: int, directory_port: int, arguments: Sequence[str]
) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(directory_port),
        "ERL_MAX_PORTS": "4096",
        "RABBITMQ_CONFIG_FILE": str(folder / "none"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "ERL_CRASH_DUMP": str(folder / "erl_crash.dump"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_FEATURE_FLAGS_FILE": str(folder / "feature_flags"),
        "RABBITMQ_MNESIA_BASE": str(folder),
        "RABBITMQ_NODENAME": f"test{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(
            ["-kernel inet_dist_use_interface {127,0,0,1}", *arguments]
        ),
        # So that no shell stands between the server and the process that it has to end with.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


def _erlang(name: str) -> str:
    """Return a program of Erlang, which Debian does not put on the path."""
    folders = (Path("/usr/lib/erlang/bin"), *sorted(Path("/usr/lib/erlang").glob("erts-*/bin")))
    within = [str(folder / name) for folder in folders if (folder / name).exists()]
    return shutil.which(name) or (within[-1] if within else name)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=30):
        return True
    return False


def _speaks(port: int) -> bool:
    """Return whether a server answers the greeting; it listens for some time before it does."""
    with (
        suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=30) as connection,
    ):
        connection.sendall(GREETING)
        return connection.recv(1) == b"\1"
    return False
