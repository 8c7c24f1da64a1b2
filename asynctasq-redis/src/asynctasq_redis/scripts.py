"""The Lua scripts, each of which is one operation; kept in files of their own under `lua/`."""

from functools import cache
from hashlib import sha1
from importlib.resources import files

from asynctasq.records import record

_FOLDER = files("asynctasq_redis") / "lua"
_WITH_UPKEEP = frozenset({"reserve"})
_ALONE = frozenset({"enqueue_one"})


@record
class Script:
    """A script as the server knows it."""

    name: str
    source: bytes
    digest: str


@cache
def script(name: str) -> Script:
    """The script of an operation, with what it shares with others before it."""
    shared = [] if name in _ALONE else ["common", "upkeep"] if name in _WITH_UPKEEP else ["common"]
    parts = [*shared, name]
    source = b"\n".join((_FOLDER / f"{part}.lua").read_bytes() for part in parts)
    return Script(name, source, sha1(source, usedforsecurity=False).hexdigest())
