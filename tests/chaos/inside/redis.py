"""The Redis driver of a storm: audited, and with scripts that fail half-way."""

import random
from collections.abc import Callable
from hashlib import sha1
from typing import Any

from asynctasq_redis import RedisDriver, server
from asynctasq_redis.scripts import Script
from tests.chaos.inside.audited import AuditedCalls
from tests.chaos.inside.switches import Switches

SCRIPT_ABORTED = "scripts aborted"
_MOST_COMMANDS = 30
_COUNTING = """\
local chaos_left, chaos_call = %d, redis.call
local function chaos_counted(...)
    chaos_left = chaos_left - 1
    if chaos_left == 0 then error('aborted by the storm') end
    return chaos_call(...)
end
"""


class AuditedRedisDriver(AuditedCalls, RedisDriver):
    """Writes down what it was asked and answered."""


def abort_scripts(switches: Switches) -> None:
    """Let scripts of this process fail at a random command while the switch is on.

    Redis keeps what a script wrote before its error.
    """
    module: Any = server
    whole: Callable[[str], Script] = module.script
    chance = random.Random()

    def aborting(name: str) -> Script:
        script = whole(name)
        if not switches.is_on(SCRIPT_ABORTED):
            return script
        text = script.source.decode().replace("redis.call", "chaos_counted")
        source = (_COUNTING % chance.randint(1, _MOST_COMMANDS) + text).encode()
        return Script(name, source, sha1(source, usedforsecurity=False).hexdigest())

    run = server.Server.run

    async def counted(self: server.Server, name: str, *arguments: Any) -> Any:
        try:
            return await run(self, name, *arguments)
        except Exception as error:
            if "aborted by the storm" in str(error):
                switches.note(SCRIPT_ABORTED)
            raise

    module.script = aborting
    module.Server.run = counted
