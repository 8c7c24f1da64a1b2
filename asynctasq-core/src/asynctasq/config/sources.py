"""The sources of settings: arguments, the environment, a `.env` file. They are only read here."""

from collections.abc import Mapping
from enum import IntEnum
from io import StringIO
from pathlib import Path

from asynctasq.config.urls import MASK, looks_secret, mask_url
from asynctasq.records import record

PREFIX = "ASYNCTASQ_"
DEBUG = "ASYNCTASQ_DEBUG"
NO_SETTINGS = frozenset({DEBUG, "ASYNCTASQ_MODEL_EXAMPLES"})
TESTS_PREFIX = "ASYNCTASQ_TEST_"
"""Variables with our prefix that are not settings: the command line and tests read them."""


class Precedence(IntEnum):
    """Precedence of sources: the higher value is used."""

    DOTENV = 0
    ENVIRONMENT = 1
    ARGUMENTS = 2
    COMMAND_LINE = 3


@record
class RawValue:
    """A value as the user gave it."""

    value: object
    key: str
    """The key as the user wrote it: `concurrency`, `sqlite.path`, `ASYNCTASQ_CONCURRENCY`."""
    rank: Precedence
    place: str
    """The source: `arguments`, `environment`, `.env line 3`."""
    from_url: bool = False
    """The part of the driver URL that `key` names."""

    def __str__(self) -> str:
        return f"{self.key} ({self.place})"

    def shown(self, name: str = "") -> str:
        """Return the value of the setting `name` for an error: short, and without secrets."""
        if looks_secret(self.key) or looks_secret(name):
            return MASK
        text = mask_url(self.value) if isinstance(self.value, str) else repr(self.value)
        text = text if len(text) <= 80 else text[:77] + "..."
        return repr(text) if isinstance(self.value, str) else text


def read_variables(
    environ: Mapping[str, str], dotenv: str | Path | None, problems: list[str]
) -> dict[str, RawValue]:
    """Return the variables with our prefix, by upper-case name: the environment's, then those of `.env`.

    `problems` gets a line for a file that cannot be read, and for each of its lines that names one
    of our variables and cannot be understood.
    """
    found = _read_dotenv(Path(dotenv), environ, problems) if dotenv is not None else {}
    for key, value in environ.items():
        if _is_ours(key):
            found[key.upper()] = RawValue(value, key, Precedence.ENVIRONMENT, "environment")
    return found


def _is_ours(key: str) -> bool:
    name = key.upper()
    return name.startswith(PREFIX) and not (name in NO_SETTINGS or name.startswith(TESTS_PREFIX))


def _read_dotenv(
    path: Path, environ: Mapping[str, str], problems: list[str]
) -> dict[str, RawValue]:
    if not path.is_file():  # a folder of this name may be a virtual environment
        return {}
    from dotenv.parser import parse_stream
    from dotenv.variables import parse_variables

    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path}: cannot be read ({error}); make it a readable UTF-8 file")
        return {}
    found: dict[str, RawValue] = {}
    known: dict[str, str | None] = {}
    for binding in parse_stream(StringIO(text)):
        key, value, source = binding.key, binding.value, binding.original.string
        blank = len(source) - len(source.lstrip())
        line = binding.original.line + source.count("\n", 0, blank)
        if binding.error or key is None or value is None:
            if PREFIX in source.split("#")[0].upper():
                problems.append(
                    f"{path} line {line}: cannot be understood; write NAME=value, with quotes "
                    f"around a value that contains spaces, quotes or #"
                )
            continue
        raw = source.partition("=")[2].lstrip()
        if not raw.startswith("'"):  # as in a shell, single quotes keep a `${...}` as it is
            names = {**known, **environ}
            value = "".join(atom.resolve(names) for atom in parse_variables(value))
        known[key] = value
        if _is_ours(key):
            found[key.upper()] = RawValue(value, key, Precedence.DOTENV, f"{path} line {line}")
    return found
