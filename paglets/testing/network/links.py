"""Which nodes of a network reach which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable

NodeT = TypeVar("NodeT", bound="Hashable")


class Links(Generic[NodeT]):
    """Everybody reaches everybody, but for what is cut. A link has two directions."""

    def __init__(self) -> None:
        self._cut: set[tuple[NodeT, NodeT]] = set()

    def is_up(self, source: NodeT, target: NodeT) -> bool:
        """Whether the source reaches the target; one always reaches oneself."""
        return (source, target) not in self._cut

    def cut(self, a: NodeT, b: NodeT) -> None:
        """Nothing gets through between the two."""
        self.cut_one_way(a, b)
        self.cut_one_way(b, a)

    def cut_one_way(self, source: NodeT, target: NodeT) -> None:
        """Nothing gets through from the source to the target; the other way is as it was."""
        if source != target:
            self._cut.add((source, target))

    def part(self, *groups: Collection[NodeT]) -> None:
        """Cut every link between nodes of different groups."""
        for group in groups:
            for other in groups:
                if other is not group:
                    for a in group:
                        for b in other:
                            self.cut_one_way(a, b)

    def heal(self, a: NodeT, b: NodeT) -> None:
        """Both directions between the two work again."""
        self._cut -= {(a, b), (b, a)}

    def heal_all(self) -> None:
        """Everybody reaches everybody again."""
        self._cut.clear()
