"""The order of labels as an object: names in order, with a fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from mlic.errors import LabelError

__all__ = ["LabelSpace"]


@dataclass(frozen=True)
class LabelSpace:
    """Names of labels in the order of the columns they stand for.

    Parameters
    ----------
    names
        Label names, unique and not empty.

    Raises
    ------
    LabelError
        If there is no name, an empty name, or a name twice.

    Examples
    --------
    >>> space = LabelSpace(("person", "tie", "dog"))
    >>> space.index("tie"), len(space)
    (1, 3)
    >>> space.fingerprint == LabelSpace(("tie", "person", "dog")).fingerprint
    False
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(str(name) for name in self.names))
        if not self.names:
            raise LabelError("the class list is empty: give at least one label name")
        if any(not name.strip() for name in self.names):
            raise LabelError(f"label number {self._first_blank()} has no name: name every label")
        seen: set[str] = set()
        for name in self.names:
            if name in seen:
                raise LabelError(f"label '{name}' stands twice in the class list: remove one")
            seen.add(name)

    def _first_blank(self) -> int:
        return next(i for i, name in enumerate(self.names) if not name.strip())

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any name or with their order."""
        return hashlib.sha256("\x1f".join(self.names).encode()).hexdigest()[:16]

    def index(self, name: str) -> int:
        """Column of a label.

        Raises
        ------
        LabelError
            If the name is not in this space.
        """
        try:
            return self._positions[name]
        except KeyError:
            raise LabelError(
                f"label '{name}' is not in the class list of {len(self)} labels "
                f"({', '.join(self.names[:5])}, …): correct the label or add it to the list"
            ) from None

    def indices(self, names: Iterable[str]) -> list[int]:
        """Columns of several labels, in the order given."""
        return [self.index(name) for name in names]

    def subset(self, indices: Sequence[int]) -> LabelSpace:
        """Space of the labels at some columns, in the order given."""
        return LabelSpace(tuple(self.names[i] for i in indices))

    def require_same(self, other: LabelSpace, ours: str, theirs: str) -> None:
        """Refuse to join two things whose labels differ.

        Parameters
        ----------
        other
            The space of the second thing.
        ours, theirs
            What the two things are called in the message.

        Raises
        ------
        LabelError
            Naming the first label in which the two differ.
        """
        if self.names == other.names:
            return
        for i, (mine, its) in enumerate(zip(self.names, other.names, strict=False)):
            if mine != its:
                difference = f"label {i} is '{mine}' in {ours} but '{its}' in {theirs}"
                break
        else:
            difference = f"{ours} has {len(self)} labels but {theirs} has {len(other)}"
        raise LabelError(f"labels do not match: {difference}; make both from the same class list")
