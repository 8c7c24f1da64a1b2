"""IDs as operators write them: in full, or as a part that only one task has.

The first digits of an ID are its time, so IDs of one minute begin alike. The last ones are random, so
tables show those.
"""

import re
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Protocol

from asynctasq.contracts.capabilities import SupportsInspect
from asynctasq.driverkit.id_parts import has_id_part
from asynctasq.message import State, id_from_text, id_to_text

SHORT = 8
"""Number of digits of an ID in tables."""
LONGEST_SHORT = 12
"""Number of digits in the last group of an ID."""
LEAST = 4
"""Least number of digits in a part."""
MATCHES_AT_ONCE = 100
"""IDs that one call of the driver returns, at most."""
_PART = re.compile(rf"[0-9a-f-]{{{LEAST},35}}")


class Identified(Protocol):
    """A message with its ID."""

    @property
    def id(self) -> str:
        """The canonical text of the ID."""
        ...


def full_id(text: str) -> str | None:
    """Return an ID in its canonical form; None if the text is not a full ID."""
    try:
        return id_to_text(id_from_text(text))
    except ValueError:
        return None


def is_part(text: str) -> bool:
    """Check whether the text may be the beginning or the end of an ID."""
    return _PART.fullmatch(text.lower()) is not None and len(_digits(text)) >= LEAST


def short_ids(ids: Sequence[str]) -> list[str]:
    """Shorten IDs to their last digits: as many as are needed to distinguish these IDs."""
    if not ids:
        return []
    for size in range(SHORT, LONGEST_SHORT + 1, 2):
        shortened = [each[-size:] for each in ids]
        if len(set(shortened)) == len(set(ids)):
            return shortened
    return list(ids)


async def matches(
    driver: SupportsInspect, parts: Collection[str], *, dead: bool = False, most: int = 6
) -> dict[str, list[str]]:
    """Find the tasks whose IDs begin or end with each part; up to `most` for each.

    Args:
        driver: the driver of the store.
        parts: beginnings and ends of IDs, as users write them.
        dead: only find dead letters.
        most: IDs for each part, at most.
    """
    return {part: await _matches(driver, _digits(part), dead, most) for part in parts}


async def matches_among(
    messages: AsyncIterator[Identified], parts: Collection[str], *, most: int = 6
) -> dict[str, list[str]]:
    """Find the messages whose IDs begin or end with each part; up to `most` for each. Reads all of them."""
    found: dict[str, dict[str, None]] = {part: {} for part in parts}
    wanted = {part: _digits(part) for part in parts}
    async for message in messages:
        message_id = id_from_text(message.id)
        for part, some in wanted.items():
            if has_id_part(message_id, some) and len(found[part]) < most:
                found[part][message.id] = None
    return {part: list(ids) for part, ids in found.items()}


async def _matches(driver: SupportsInspect, digits: str, dead: bool, most: int) -> list[str]:
    found: dict[str, None] = {}
    cursor: str | None = None
    while True:
        page = await driver.match_ids(digits, limit=MATCHES_AT_ONCE, cursor=cursor)
        ids = list(page.items)
        if dead and ids:
            snapshots = await driver.find(ids)
            states = [None if each is None else each.state for each in snapshots]
            ids = [one for one, state in zip(ids, states, strict=True) if state is State.DEAD]
        found.update(dict.fromkeys(map(id_to_text, ids)))
        if len(found) >= most or page.cursor is None:
            return list(found)[:most]
        cursor = page.cursor


def _digits(text: str) -> str:
    return text.lower().replace("-", "")
