"""The Lua scripts. Each is one operation, in a file of its own under `lua/`."""

from functools import cache
from hashlib import sha1
from importlib.resources import files

from asynctasq.records import record

_FOLDER = files("asynctasq_redis") / "lua"
_ALONE = frozenset({"enqueue_one", "probe"})
_DAMAGE = ("common", "damage")
_FACTS = ("common", "facts")
_COUNTS = ("common", "counts")
_SCHEDULE = ("common", "schedule")
_STREAM = ("common", "stream")
_UPKEEP = (*_DAMAGE, "task", "upkeep")
_SHARED = {
    "reserve": (*_UPKEEP, "adopt", "recount", "schedule", "sweep"),
    "count": ("common", "recount"),
    "upgrade": (*_UPKEEP, "adopt"),
    "extend": _UPKEEP,
    "give_back": _UPKEEP,
    "end_owner": _UPKEEP,
    "settle": _DAMAGE,
    "cancel": (*_DAMAGE, "facts"),
    "cancel_requests": ("common", "flagged"),
    "requests": ("common", "flagged"),
    "add_metrics": _COUNTS,
    "add_up": _COUNTS,
    "finish": _FACTS,
    "hand_over": _FACTS,
    "marks": _FACTS,
    "note": _FACTS,
    "progress": _FACTS,
    "delete_dead": _DAMAGE,
    "find": (*_DAMAGE, "rows"),
    "choose": (*_DAMAGE, "task", "rows"),
    "requeue": _DAMAGE,
    "put_schedules": _SCHEDULE,
    "claim_schedules": _SCHEDULE,
    "fire": _SCHEDULE,
    "find_schedules": _SCHEDULE,
    "list_schedules": _SCHEDULE,
    "change_schedules": _SCHEDULE,
    "events": _STREAM,
    "events_look": _STREAM,
    "publish": _STREAM,
}
"""The files that precede a script. For all other scripts, that is `common`."""
_PLAIN = frozenset({"reserve", "settle"})
"""Scripts with a fast path, which is enough for nearly all calls. It shares no functions with others, because
creating those would take longer than most calls do. They are created in `carefully`, if it runs."""

_CALLING = {"fire": "enqueue"}
"""Scripts that run another one as a function, with a table of its arguments."""


@record
class Script:
    """A script, with the digest by which the server knows it."""

    name: str
    source: bytes
    digest: str


@cache
def script(name: str) -> Script:
    """Return the script of an operation, with the files that it shares with others before it."""
    source = _source(name)
    if name not in _ALONE:
        shared = [_source(part) for part in _SHARED.get(name, ("common",))]
        if name in _CALLING:
            called = _CALLING[name]
            shared += [b"local function %s(ARGV)" % called.encode(), _source(called), b"end"]
        source = b"\n".join((*shared, b"return run(function()", source, b"end)\n"))
    if name in _PLAIN:
        plain = (_source(f"{name}_plain"), _source("plain"))
        source = b"\n".join((b"local function carefully()", source, b"end", *plain))
    return Script(name, source, sha1(source, usedforsecurity=False).hexdigest())


def _source(name: str) -> bytes:
    return (_FOLDER / f"{name}.lua").read_bytes()
