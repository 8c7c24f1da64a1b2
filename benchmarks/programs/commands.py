"""Commands that programs run. Uses only the standard library, because programs of peers use it too."""

import asyncio
import subprocess
import sys


async def run_command(*command: str) -> None:
    """Run a command to its end, with its output on standard error."""
    process = await asyncio.create_subprocess_exec(*command, stdout=sys.stderr)
    if await process.wait():
        raise subprocess.CalledProcessError(process.returncode or 0, command)
