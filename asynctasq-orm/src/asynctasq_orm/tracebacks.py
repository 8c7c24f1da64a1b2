"""What an error passed through: where frameworks do not say which relation was wanted."""

from collections.abc import Iterator
from typing import Any


def receivers(error: BaseException) -> Iterator[Any]:
    """The objects whose methods an error passed through, the innermost first."""
    found = []
    trace = error.__traceback__
    while trace is not None:
        found.append(trace.tb_frame.f_locals.get("self"))
        trace = trace.tb_next
    yield from reversed(found)


def name_it(owner: type, relation: str) -> str:
    """The advice of every ORM's resolver."""
    return (
        f"{owner.__qualname__}.{relation} was not loaded with the model. A task names the relations "
        f"that it needs: @task(relations=[{relation!r}])."
    )
