"""A chunk that names an ID twice."""

from collections.abc import Callable
from dataclasses import replace

from asynctasq.message import OnConflict, Unique, UniqueUntil
from asynctasq_postgres import PostgresDriver
from tests.drivers.opening import message, opened


async def test_message_is_added_although_a_key_kept_another_of_its_id_out(
    make_driver: Callable[..., PostgresDriver],
) -> None:
    async with opened(make_driver()) as driver:
        holder = message(unique=Unique("k", until=UniqueUntil.PERIOD, period=200.0))
        refused = message(unique=Unique("k", on_conflict=OnConflict.SKIP))
        plain = replace(refused, unique=None, queue="other")
        [_, kept_out, added, known] = await driver.enqueue([holder, refused, plain, plain])
        assert (kept_out.id, kept_out.created) == (holder.id, False)
        assert (added.id, added.created) == (plain.id, True)
        assert (known.id, known.created) == (plain.id, False)
        assert (await driver.count("other")).ready == 1
