"""Scripts of the Redis driver that fail half-way."""

from hashlib import sha1

from asynctasq_redis.scripts import Script, script


class Faults:
    """Makes one script fail at its k-th command, or at all commands from there on."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.at = 0
        self.lasting = False

    def script(self, name: str) -> Script:
        plain = script(name)
        if name != self.name:
            return plain
        condition = ">=" if self.lasting else "=="
        counted = (
            "local calls, plain = 0, redis.call\n"
            "local function counted(...)\n"
            f"calls = calls + 1 if calls {condition} {self.at} then error('injected') end\n"
            "return plain(...) end\n"
        )
        source = (counted + plain.source.decode().replace("redis.call", "counted")).encode()
        return Script(name, source, sha1(source, usedforsecurity=False).hexdigest())
