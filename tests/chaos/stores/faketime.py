"""A clock of another process that can be made to jump, by libfaketime."""

import os
from pathlib import Path

LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
PATTERNS = ("faketime/libfaketime.so.1", "*/faketime/libfaketime.so.1")


class FakeClock:
    """The clock of a process that is started with `environment()`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._library = _find()
        self.problem = "" if self._library else "no libfaketime; Debian: apt-get install faketime"
        """Why the clock cannot jump; empty if it can."""
        self.jump(0.0)

    def environment(self) -> dict[str, str] | None:
        """Return the environment of the process; None for that of this process."""
        if not self._library:
            return None
        return {
            **os.environ,
            # With the malloc of libc: the library and jemalloc call each other without end.
            "LD_PRELOAD": ":".join([self._library, *_libc()]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, seconds: float) -> None:
        """Set the clock to the true time plus so many seconds."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+.3f}\n")
        fresh.replace(self._file)


def _find() -> str:
    found = [each for path in LIBRARIES for name in PATTERNS for each in Path(path).glob(name)]
    return str(found[0]) if found else ""


def _libc() -> list[str]:
    """Return the path of the C library that this process uses."""
    maps = Path("/proc/self/maps").read_text().split()
    return sorted({each for each in maps if each.endswith("/libc.so.6")})
