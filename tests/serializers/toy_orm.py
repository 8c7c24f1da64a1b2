"""A model framework of a few lines, and its resolver."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asynctasq.contracts.resolver import Reference
from asynctasq.errors import ModelNotFound, NotSerializable

ROWS: dict[Any, "Row"] = {}


@dataclass
class Row:
    key: Any
    name: str = ""


class ToyResolver:
    def __init__(self) -> None:
        self.asked: list[type] = []
        self.calls: list[int] = []
        self.closed = 0

    def reference(self, instance: object) -> Reference | None:
        self.asked.append(type(instance))
        if not isinstance(instance, Row):
            return None
        if instance.key is None:
            raise NotSerializable("a Row without a key: save it first")
        return Reference("toy_orm", "Row", instance.key)

    async def resolve(self, references: Sequence[Reference]) -> list[object]:
        self.calls.append(len(references))
        missing = [reference.key for reference in references if reference.key not in ROWS]
        if missing:
            raise ModelNotFound(f"no Row {missing}")
        return [ROWS[reference.key] for reference in references]

    async def close(self) -> None:
        self.closed += 1
