"""Malformed bodies and rows under live workers."""

from pathlib import Path

from tests.chaos.fuzz import check_fuzzed_store
from tests.chaos.stores.sqlite import SqliteStore


async def test_malformed_messages_and_rows_harm_no_others_on_sqlite(tmp_path: Path) -> None:
    await check_fuzzed_store(SqliteStore(tmp_path / "store"), tmp_path)
