"""The label space: label names in a fixed order, with a fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from mlic.errors import LabelError
from mlic.utils.names import look_alike
from mlic.utils.suggestions import did_you_mean

__all__ = ["LabelSpace"]


@dataclass(frozen=True)
class LabelSpace:
    """Label names in the order of the columns of a label matrix.

    A label space travels with every matrix, graph, partition and checkpoint, so that objects with
    different labels are not combined by accident, see `require_same`.

    Parameters
    ----------
    names
        Label names, unique and not blank.

    Raises
    ------
    LabelError
        If there are no names, or a name is blank or occurs twice.

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
        # names may come from NumPy or JSON as other types than str
        object.__setattr__(self, "names", tuple(str(name) for name in self.names))
        if not self.names:
            raise LabelError("the class list is empty: give at least one label name")
        seen: set[str] = set()
        for number, name in enumerate(self.names):
            if not name.strip():
                raise LabelError(
                    f"label number {number} has no name: name every label", value=number
                )
            if name in seen:
                raise LabelError(
                    f"label '{name}' occurs twice in the class list: remove one", label=name
                )
            seen.add(name)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any name or with their order."""
        # the unit separator \x1f keeps ("a", "bc") and ("ab", "c") apart
        return hashlib.sha256("\x1f".join(self.names).encode()).hexdigest()[:16]

    def index(self, name: str) -> int:
        """Return the column of a label, or raise a `LabelError` if it is not in this space."""
        try:
            return self._positions[name]
        except KeyError:
            raise LabelError(
                f"label '{name}' is not in the class list of {len(self)} labels "
                f"({', '.join(self.names[:5])}, …): {self._hint(name)}"
                "correct the label or add it to the list",
                label=name,
            ) from None

    def _hint(self, name: str) -> str:
        twins = [one for one in self.names if look_alike(one) == look_alike(name)]
        if twins:
            return f"{name!a} looks like {twins[0]!a}, but has other characters; "
        return did_you_mean(name, self.names)

    def indices(self, names: Iterable[str]) -> list[int]:
        """Return the columns of several labels, in the given order."""
        return [self.index(name) for name in names]

    def subset(self, indices: Sequence[int]) -> LabelSpace:
        """Return the space of the labels at some columns, in the given order."""
        return LabelSpace(tuple(self.names[i] for i in indices))

    def require_same(self, other: LabelSpace, ours: str, theirs: str) -> None:
        """Check that another object has the same labels in the same order.

        Otherwise a `LabelError` names the first difference between ``ours`` and ``theirs``, the
        names of the two objects.
        """
        # names and not fingerprints: the message needs the first difference anyway
        if self.names == other.names:
            return
        expected: str | int = len(self)
        found: str | int = len(other)
        difference = f"{ours} has {expected} labels but {theirs} has {found}"
        for i, (mine, its) in enumerate(zip(self.names, other.names, strict=False)):
            if mine != its:
                difference = f"label {i} is '{mine}' in {ours} but '{its}' in {theirs}"
                expected, found = mine, its
                break
        raise LabelError(
            f"labels do not match: {difference}; make both from the same class list",
            found=found,
            expected=expected,
        )
