"""Models and dataclasses whose construction must not be repeated."""

import threading
from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Generic, Literal, NamedTuple, Self, TypeVar

import pydantic
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    RootModel,
    SecretStr,
    computed_field,
    field_validator,
    model_validator,
)

T = TypeVar("T")
U = TypeVar("U")
runs: list[str] = []
"""The methods that the classes have run."""


class Level(StrEnum):
    LOW = "low"


class Marked(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def mark(cls, value: str) -> str:
        runs.append("Marked")
        return f"<{value}>"


class Payload(BaseModel):
    kind: str
    number: int

    @model_validator(mode="before")
    @classmethod
    def parse(cls, raw: dict[str, str]) -> dict[str, str]:
        kind, _, number = raw["line"].partition(":")
        return {"kind": kind, "number": number}


class Soon(BaseModel):
    at: datetime

    @field_validator("at")
    @classmethod
    def in_the_future(cls, value: datetime) -> datetime:
        if runs and runs[-1] == "later":
            raise ValueError("not in the future")
        return value


class Counted(BaseModel):
    number: int
    _seen: int = PrivateAttr(default=0)
    _unset: str = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        runs.append("Counted")
        self.number += 1
        self._seen += 1


class Locked(BaseModel):
    number: int
    _lock: Any = PrivateAttr(default_factory=threading.Lock)
    _count: int = PrivateAttr(default=0)
    _client: Any = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        self.number += 1
        self._client = iter([1])


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str = Field(alias="fullName")


class Forbidding(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    size: int = Field(validation_alias=AliasChoices("size", "SIZE"))

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @cached_property
    def double(self) -> int:
        return 2 * self.size


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    owner: Marked


class Owner(BaseModel):
    pets: list[Annotated[Cat | Dog, Discriminator("kind")]]
    extra: dict[str, Any] = {}


class Secretive(BaseModel):
    password: SecretStr


class Names(RootModel[list[str]]):
    @field_validator("root")
    @classmethod
    def upper(cls, value: list[str]) -> list[str]:
        return [f"<{name}>" for name in value]


class Item(BaseModel):
    name: str


class Page(BaseModel, Generic[T]):
    items: list[T]


class Both(BaseModel, Generic[T, U]):
    left: T
    right: U


class ItemPage(Page[Item]):
    pass


@pydantic.dataclasses.dataclass
class Checked:
    name: str

    @field_validator("name")
    @classmethod
    def mark(cls, value: str) -> str:
        return f"<{value}>"


@dataclass
class Growing:
    number: int
    more: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        runs.append("Growing")
        self.number += 1
        self.more.append(self.number)
        self.note = f"made {len(self.more)}"


@dataclass
class Guarded:
    number: int

    def __post_init__(self) -> None:
        self.number += 1
        self.lock = threading.Lock()
        self.note = "first"


@dataclass
class Seeded:
    number: int
    seed: InitVar[int]
    total: int = field(init=False)

    def __post_init__(self, seed: int) -> None:
        runs.append("Seeded")
        self.total = self.number + seed


@dataclass
class Defaulted:
    size: int = 1
    label: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiring:
    at: datetime

    def __post_init__(self) -> None:
        if runs and runs[-1] == "later":
            raise ValueError("not in the future")


class Slotted:
    __slots__ = ("cache",)


@dataclass
class WithSlots(Slotted):
    number: int

    def __post_init__(self) -> None:
        self.cache = [self.number]


@dataclass
class Failure(Exception):
    code: int


@dataclass
class Linked:
    name: str

    def __post_init__(self) -> None:
        self.me = self


class Positive(NamedTuple):
    number: int


class CheckedPair(Positive):
    def __new__(cls, number: int) -> Self:
        return super().__new__(cls, number + 1)


def sent() -> Iterator[object]:
    """Instances that have to arrive as they are."""
    moment = datetime.now(UTC) + timedelta(hours=1)
    yield Marked(name="x")
    yield Payload.model_validate({"line": "a:1"})
    yield Soon(at=moment)
    yield Counted(number=1)
    yield Open.model_validate({"fullName": "n", "other": (1, 2), "name": "collides"})
    yield Open.model_construct(None, name="n", more=Marked(name="x"))
    yield Marked.model_construct()
    yield Marked.model_construct({"name"}, name=5)
    yield Forbidding(size=2)
    yield Owner(pets=[Cat(), Dog(owner=Marked(name="x"))], extra={"a": Checked("x")})
    yield Secretive(password=SecretStr("hunter2"))
    yield Names(["a"])
    yield ItemPage(items=[Item(name="a")])
    yield Checked("x")
    yield Growing(1)
    yield Seeded(1, 5)
    yield Expiring(at=moment)
    yield WithSlots(3)
    yield CheckedPair(1)
    yield {"all": [(Marked(name="y"), Growing(2))]}
