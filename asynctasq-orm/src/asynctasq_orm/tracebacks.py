"""Objects in the traceback of an error, for frameworks whose errors do not name the relation."""

from collections.abc import Iterator
from typing import Any


def receivers(error: BaseException) -> Iterator[Any]:
    """Return the objects whose methods are in the traceback of an error, the innermost first."""
    found = []
    trace = error.__traceback__
    while trace is not None:
        found.append(trace.tb_frame.f_locals.get("self"))
        trace = trace.tb_next
    yield from reversed(found)


def name_it(owner: type, relation: str) -> str:
    """Return the note about a relation that was not loaded, for all ORMs."""
    return (
        f"{owner.__qualname__}.{relation} was not loaded with the model. A task names the relations "
        f"that it needs: @task(relations=[{relation!r}])."
    )
