"""Dataclasses of every shape that a state may have."""

import collections
import datetime as dt
import decimal
import enum
import pathlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, NamedTuple, NewType, TypeVar

T = TypeVar("T")
U = TypeVar("U")
Metres = NewType("Metres", float)


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mode(enum.StrEnum):
    ON = "on"
    OFF = "off"


class Corner(enum.Enum):
    ORIGIN = (0, 0)
    FAR = (9, 9)


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int
    day: dt.date


@dataclass
class Leaf:
    name: str = ""
    weight: float = 0.0


@dataclass
class Oak(Leaf):
    age: int = 0


@dataclass(frozen=True, slots=True)
class Frozen:
    number: int = 1
    tags: tuple[str, ...] = ()


@dataclass
class Tree:
    value: int = 0
    left: "Tree | None" = None
    right: "Tree | None" = None


@dataclass
class Pair(Generic[T, U]):
    first: T
    second: list[U]


@dataclass
class LeafPair(Pair[Leaf, Colour]):
    note: str = ""


@dataclass
class Derived:
    SHARED: ClassVar[list[int]] = []
    base: int
    scale: InitVar[int] = 2
    total: int = field(init=False, default=0)
    _hidden: str = "h"

    def __post_init__(self, scale: int) -> None:
        self.total = self.base * scale


@dataclass(kw_only=True)
class Everything:
    flag: bool
    number: int
    real: float
    text: str
    raw: bytes
    changing: bytearray
    maybe: int | None
    either: int | str | None
    both: int | float
    binary: bytes | str
    colour: Colour
    level: Level
    mode: Mode
    corner: Corner
    rights: Rights
    literal: Literal["a", 1] | None
    numbers: list[int]
    words: set[str]
    mixed: frozenset[int | str]
    pair: tuple[int, str]
    many: tuple[Leaf, ...]
    point: Point
    queue: collections.deque[int]
    by_name: dict[str, Leaf]
    by_number: dict[int, list[Colour]]
    by_day: Mapping[dt.date, Frozen]
    counts: collections.Counter[str]
    ordered: collections.OrderedDict[str, int]
    sequence: Sequence[Frozen]
    when: dt.datetime
    day: dt.date
    hour: dt.time
    duration: dt.timedelta
    unique: uuid.UUID
    exact: decimal.Decimal
    place: pathlib.PurePosixPath
    leaf: Leaf
    choice: Leaf | Frozen | None
    kinds: Leaf | Oak
    tree: Tree
    generic: Pair[Leaf, Frozen]
    closed: LeafPair
    length: Metres
    noted: Annotated[int, "with a note"]
    last: Final[int] = 3


@dataclass
class Loose:
    anything: Any = None
    data: dict[Any, Any] = field(default_factory=dict[Any, Any])
    items: list[Any] = field(default_factory=list[Any])


class Reference:
    """Knows its own wire form, as proxies do, and holds what cannot travel."""

    def __init__(self, host_url: str, agent_id: str, client: object = None) -> None:
        self.host_url, self.agent_id, self.client = host_url, agent_id, client

    def to_wire(self) -> dict[str, Any]:
        return {"host_url": self.host_url, "agent_id": self.agent_id}

    @classmethod
    def from_wire(cls, payload: Any, client: object = None) -> "Reference":
        return cls(payload["host_url"], payload["agent_id"], client)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self.to_wire() == other.to_wire()

    def __hash__(self) -> int:
        return hash(self.agent_id)
