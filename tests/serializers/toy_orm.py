"""A model framework of a few lines, and its resolver."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asynctasq.contracts.resolver import Reference
from asynctasq.errors import NotSerializable

ROWS: dict[Any, "Row"] = {}


@dataclass
class Row:
    key: Any
    name: str = ""


class ToyResolver:
    def __init__(self) -> None:
        self.asked: list[type] = []
        self.calls: list[int] = []
        self.relations: list[tuple[str, ...]] = []
        self.closed = 0

    def reference(self, instance: object) -> Reference | None:
        self.asked.append(type(instance))
        if not isinstance(instance, Row):
            return None
        if instance.key is None:
            raise NotSerializable("a Row without a key: save it first")
        return Reference("toy_orm", "Row", instance.key)

    async def resolve(
        self, references: Sequence[Reference], *, relations: Sequence[str] = ()
    ) -> list[object]:
        self.calls.append(len(references))
        self.relations.append(tuple(relations))
        return [ROWS.get(reference.key) for reference in references]

    async def close(self) -> None:
        self.closed += 1
