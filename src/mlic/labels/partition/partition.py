"""Partitions: every label in exactly one part, with where the parts came from."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mlic.errors import PartitionError
from mlic.labels.space import LabelSpace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["STRATEGIES", "Partition", "user_partition"]

STRATEGIES = ("cgp", "dgp", "random", "user")
SCHEMA = 1


@dataclass(frozen=True)
class Partition:
    """A disjoint, complete cover of the labels.

    Parameters
    ----------
    space
        The labels.
    strategy
        ``"cgp"``, ``"dgp"``, ``"random"`` or ``"user"``.
    parts
        Label columns of every part. Kept in one canonical form: ascending inside a part, parts
        by size descending, then by first label.
    exponent
        Of the label graph, or None where none was cut.
    seed
        Of the search, or None.
    quality
        Quality figures by name; see `partition_quality`.
    titles
        Names of the parts, one each in the order given, or none at all.

    Raises
    ------
    PartitionError
        If the strategy is unknown, a part is empty, a label is in no part or in two, or there is
        not one title a part.

    Examples
    --------
    >>> space = LabelSpace(("person", "tie", "dog"))
    >>> partition = Partition(space, "user", ((2,), (1, 0)))
    >>> partition.parts, partition.membership.tolist(), partition.names(0)
    (((0, 1), (2,)), [0, 0, 1], ('person', 'tie'))
    """

    space: LabelSpace
    strategy: str
    parts: tuple[tuple[int, ...], ...]
    exponent: float | None = None
    seed: int | None = None
    quality: Mapping[str, float] = field(default_factory=dict)
    titles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise PartitionError(
                f"partition strategy '{self.strategy}' is unknown: "
                f"use one of {', '.join(STRATEGIES)}"
            )
        self._check_cover()
        parts = [tuple(sorted(int(i) for i in part)) for part in self.parts]
        order = sorted(range(len(parts)), key=lambda part: (-len(parts[part]), parts[part]))
        if self.titles and len(self.titles) != len(parts):
            raise PartitionError(
                f"the partition '{self.strategy}' has {len(parts)} parts but {len(self.titles)} "
                "titles: give each part one, or give none"
            )
        titles = tuple(self.titles[part] for part in order) if self.titles else ()
        object.__setattr__(self, "parts", tuple(parts[part] for part in order))
        object.__setattr__(self, "titles", titles)
        object.__setattr__(self, "quality", dict(self.quality))

    def _check_cover(self) -> None:
        where = f"the partition '{self.strategy}'"
        size = len(self.space)
        for number, part in enumerate(self.parts):
            if not part:
                raise PartitionError(
                    f"part {number} of {where} is empty: give it a label or drop it"
                )
        times = Counter(i for part in self.parts for i in part)
        outside = [i for i in times if not 0 <= i < size]
        if outside:
            raise PartitionError(
                f"{where} names label column {outside[0]}, but there are only {size} labels "
                f"(0 to {size - 1}): make it from the same class list"
            )
        for index, name in enumerate(self.space.names):
            if times[index] != 1:
                wrong = f"in {times[index]} parts" if times[index] else "in no part"
                raise PartitionError(
                    f"label '{name}' is {wrong} of {where}: put it into exactly one part"
                )

    @property
    def num_parts(self) -> int:
        """Number of parts K."""
        return len(self.parts)

    @cached_property
    def membership(self) -> NDArray[np.intp]:
        """Part of every label; shape (C,), intp."""
        membership = np.empty(len(self.space), dtype=np.intp)
        for number, part in enumerate(self.parts):
            membership[list(part)] = number
        membership.flags.writeable = False
        return membership

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits over labels, strategy and parts, not over quality and titles."""
        told = json.dumps([self.space.fingerprint, self.strategy, self.parts])
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def names(self, part: int) -> tuple[str, ...]:
        """Label names of one part, in column order."""
        return self.space.subset(self.parts[part]).names

    def require_parts(self, num_parts: int) -> None:
        """Refuse another number of parts than the teachers are wired for.

        Raises
        ------
        PartitionError
            If there are more or fewer parts.
        """
        if self.num_parts != num_parts:
            raise PartitionError(
                f"the partition '{self.strategy}' has {self.num_parts} parts but {num_parts} "
                f"teachers are wired: make the partition with {num_parts} parts, or set the "
                f"number of parts to {self.num_parts}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Write a JSON document that a person can edit: parts are lists of label names."""
        return {
            "schema": SCHEMA,
            "strategy": self.strategy,
            "num_parts": self.num_parts,
            "exponent": self.exponent,
            "seed": self.seed,
            "quality": dict(self.quality),
            "labels": list(self.space.names),
            "parts": [list(self.names(part)) for part in range(self.num_parts)],
            "titles": list(self.titles),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Partition:
        """Read a partition from its document and check it anew.

        ``num_parts`` is there for the reader; what holds are the parts.

        Raises
        ------
        PartitionError
            If the schema is another, an entry is missing, or the parts are no cover.
        LabelError
            If a part names a label that is not among ``labels``.
        """
        if document.get("schema") != SCHEMA:
            raise PartitionError(
                f"the partition file has schema {document.get('schema')}, this version reads "
                f"{SCHEMA}: make the partition again"
            )
        missing = {"strategy", "labels", "parts"} - set(document)
        if missing:
            raise PartitionError(
                f"the partition file lacks {', '.join(sorted(missing))}: make the partition again"
            )
        space = LabelSpace(tuple(document["labels"]))
        return cls(
            space,
            document["strategy"],
            _columns(document["parts"], space),
            document.get("exponent"),
            document.get("seed"),
            document.get("quality", {}),
            tuple(document.get("titles", ())),
        )


def user_partition(
    parts_by_name: Iterable[Sequence[str]] | Mapping[str, Sequence[str]], space: LabelSpace
) -> Partition:
    """Make a partition of lists of label names that a person wrote down.

    Parameters
    ----------
    parts_by_name
        Label names of every part; as a mapping, under the title of the part.
    space
        The labels to cover.

    Raises
    ------
    LabelError
        If a name is not among the labels.
    PartitionError
        If a label is in no part or in two, or a part is empty.

    Examples
    --------
    >>> user_partition([["dog"], ["person", "tie"]], LabelSpace(("person", "tie", "dog"))).parts
    ((0, 1), (2,))
    """
    if isinstance(parts_by_name, Mapping):
        parts = _columns(parts_by_name.values(), space)
        return Partition(space, "user", parts, titles=tuple(parts_by_name))
    return Partition(space, "user", _columns(parts_by_name, space))


def _columns(
    parts_by_name: Iterable[Sequence[str]], space: LabelSpace
) -> tuple[tuple[int, ...], ...]:
    parts = list(parts_by_name)
    for part in parts:
        if isinstance(part, str) or not isinstance(part, Sequence):
            what = "a single text" if isinstance(part, str) else "no list"
            raise PartitionError(f"a part is {what}: write every part as a list of label names")
    return tuple(tuple(space.indices(part)) for part in parts)
