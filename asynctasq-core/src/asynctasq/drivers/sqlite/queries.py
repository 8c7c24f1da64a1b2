"""The SQL of the driver, kept in files of its own under `sql/`."""

from functools import partial
from importlib.resources import files

from asynctasq.driverkit.sql import read_queries, read_script
from asynctasq.driverkit.times import OUTCOME_TTL_LEAST, micros

_FOLDER = files("asynctasq.drivers.sqlite") / "sql"

script = partial(read_script, _FOLDER)
"""Return the text of a file."""


def queries(name: str) -> dict[str, str]:
    """Return the queries of a file by name."""
    least = str(micros(OUTCOME_TTL_LEAST))
    return {
        title: text.replace("{outcome_ttl_least}", least)
        for title, text in read_queries(_FOLDER, name).items()
    }
