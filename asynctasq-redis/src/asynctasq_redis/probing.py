"""The probe: checks of the server when a driver opens, so that no script fails half-way later."""

import redis.exceptions as client

from asynctasq.errors import DriverError
from asynctasq_redis.connections import Connections
from asynctasq_redis.errors import passes
from asynctasq_redis.scripts import script
from asynctasq_redis.settings import RedisSettings
from asynctasq_redis.wires import Argument

OLDEST = "6.2"
"""The oldest Redis that has every command and option of the scripts; every Valkey has them."""
_MAY_NOT_RUN = ("run this command", "permissions to run")
_MAY_NOT_TOUCH = "one of the keys"


async def probe(
    connections: Connections, prefix: bytes, settings: RedisSettings, place: str
) -> None:
    """Try every command and option that the scripts use, on temporary keys.

    A server that accepts no writes at present (too few replicas, for example) passes: later calls report
    that, and workers wait.

    Raises:
        DriverError: a command is missing, or this user may not execute it.
        redis.RedisError: the server refuses the connection, or cannot be reached.
    """
    known = script("probe")
    commands: list[tuple[str, tuple[Argument, ...]]] = [
        ("EVALSHA", (known.digest, 1, prefix)),
        ("EVAL", (known.source, 1, prefix)),
    ]
    if settings.wait_replicas:
        commands.insert(0, ("WAIT", (0, 1)))
    answer: list[bytes] = []
    for name, arguments in commands:
        try:
            answer = await connections.execute(name, *arguments)
        except client.NoScriptError:
            pass
        except client.NoPermissionError as error:
            raise DriverError(_refusal(place, settings, [(name, str(error))])) from error
    texts = [text.decode("utf-8", "replace") for text in answer]
    failed = [
        (command, error)
        for command, error in zip(texts[::2], texts[1::2], strict=True)
        if not passes(error)
    ]
    if failed:
        raise DriverError(_refusal(place, settings, failed))


def _refusal(place: str, settings: RedisSettings, failed: list[tuple[str, str]]) -> str:
    command, error = failed[0]
    user = settings.address().username or "default"
    name = command.split()[0]
    if _MAY_NOT_TOUCH in error:
        pattern = f"~{{{settings.namespace}}}:*"
        return (
            f"The user {user!r} may not use the keys of the namespace at the Redis at {place} ({name}: "
            f"{error}). Run `ACL SETUSER {user} {pattern}` (see `ACL users` in the documentation)."
        )
    if any(part in error for part in _MAY_NOT_RUN):
        names = sorted({each.split()[0] for each, _ in failed})
        grants = " ".join(f"+{each.lower()}" for each in names)
        return (
            f"The user {user!r} may not run {', '.join(names)} at the Redis at {place} ({error}). Run "
            f"`ACL SETUSER {user} {grants}` (see `ACL users` in the documentation)."
        )
    tried = " ".join(part for part in command.split() if part.isupper())
    return (
        f"The Redis at {place} does not support {tried} ({error}). Use Redis {OLDEST} or later, or "
        "Valkey, without renamed commands."
    )
