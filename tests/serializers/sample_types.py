"""Classes of an application, as tasks receive them."""

import enum
from collections import namedtuple
from dataclasses import InitVar, dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    PostgresDsn,
    RootModel,
    field_validator,
)

T = TypeVar("T")


class Colour(enum.Enum):
    RED = 1
    CRIMSON = 1  # noqa: PIE796 - an alias, on purpose
    GREEN = (0, 255, 0)
    ODD = object()


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Mood(enum.StrEnum):
    GOOD = "good"
    BAD = "bad"


class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Mode(enum.IntFlag):
    A = 1
    B = 2


class Outer:
    class Inner(enum.Enum):
        X = "x"

    @dataclass
    class Point:
        x: int


@dataclass
class Plain:
    name: str
    items: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Frozen:
    where: tuple[int, ...]
    colour: Colour = Colour.RED


@dataclass(slots=True, kw_only=True)
class Derived:
    width: int
    area: int = field(init=False)
    label: str = "none"

    def __post_init__(self) -> None:
        self.area = self.width**2


@dataclass
class Doubling:
    """Changes what it was given, as a sum that is kept: construction is not idempotent."""

    amount: int
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.amount *= 2
        self.cache: dict[str, int] = {}


@dataclass
class Partial:
    here: int = 1
    missing: int = field(init=False)


@dataclass(init=False)
class OwnInit:
    x: int

    def __init__(self, twice: int) -> None:
        self.x = twice // 2


@dataclass
class NeedsSeed:
    x: int
    seed: InitVar[int]

    def __post_init__(self, seed: int) -> None:
        self.x += seed


@dataclass
class SeedByDefault:
    x: int
    seed: InitVar[int] = 5

    def __post_init__(self, seed: int) -> None:
        self.x += seed


@dataclass
class FieldsAndItems(dict[str, int]):
    x: int = 0


@dataclass
class Box(Generic[T]):
    content: T


class Pair(NamedTuple):
    left: Any
    right: Any = None


Old = namedtuple("Old", "a b")  # noqa: PYI024 # pyright: ignore[reportUntypedNamedTuple] # the older form travels too


class Name(str):
    __slots__ = ()


class Count(int):
    pass


class Ratio(float):
    pass


class Blob(bytes):
    pass


class MyDict(dict[str, int]):
    pass


class MyList(list[int]):
    pass


class Opaque:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Money:
    """Registered by the tests."""

    def __init__(self, amount: int, currency: str) -> None:
        self.amount = amount
        self.currency = currency

    def __eq__(self, other: object) -> bool:
        return type(other) is Money and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((self.amount, self.currency))


class Address(BaseModel):
    model_config = ConfigDict(frozen=True)

    street: str
    number: int = 1


class Person(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str = Field(alias="fullName")
    nick: str | None = Field(default=None, validation_alias=AliasChoices("nick", "nickname"))
    home: Address
    tags: set[str] = Field(default_factory=set)
    colour: Colour = Colour.RED


class Site(BaseModel):
    home: HttpUrl
    store: PostgresDsn


class Numbers(RootModel[list[int]]):
    pass


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    value: int

    @field_validator("value")
    @classmethod
    def _positive(cls, value: int) -> int:
        if value < 0:
            raise ValueError("negative")
        return value


def double(value: int) -> int:
    return 2 * value


class Tagged(str):
    """A str with a slot, and so without a `__dict__`."""

    __slots__ = ("tag",)
    tag: str


class Measured(float):
    __slots__ = ("unit",)
    unit: str
