"""A partition: every label in exactly one part, checked, with how the parts were made."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from mlic.errors import PartitionError
from mlic.labels.space import LabelSpace
from mlic.utils.suggestions import did_you_mean

__all__ = ["STRATEGIES", "Partition", "user_partition"]

STRATEGIES = ("cgp", "dgp", "random", "user")
SCHEMA = 1  # version of the document that `Partition.to_dict` writes


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
        Label columns of every part. They are stored in a canonical order: columns ascend inside a
        part; parts are sorted by size, largest first, then by their first label.
    exponent
        Exponent of the label graph, or None if no graph was cut.
    seed
        Seed of the search, or None.
    quality
        Quality figures by name; see `mlic.labels.partition.quality.partition_quality`.
    titles
        One name for each part, in the order of ``parts``, or none at all.

    Raises
    ------
    PartitionError
        If the strategy is unknown, a part is empty, a label is in no part or in several, or the
        number of titles is not the number of parts.

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
                f"{did_you_mean(self.strategy, STRATEGIES)}use one of {', '.join(STRATEGIES)}",
                parameter="strategy",
                value=self.strategy,
            )
        self._check_cover()
        # The canonical order makes partitions with the same parts equal, however they were found,
        # and gives every part a fixed number, which names its teacher.
        parts = [tuple(sorted(int(i) for i in part)) for part in self.parts]
        order = sorted(range(len(parts)), key=lambda part: (-len(parts[part]), parts[part]))
        if self.titles and len(self.titles) != len(parts):
            raise PartitionError(
                f"the partition '{self.strategy}' has {len(parts)} parts but {len(self.titles)} "
                "titles: give every part a title, or give no titles",
                found=len(self.titles),
                expected=len(parts),
            )
        titles = tuple(self.titles[part] for part in order) if self.titles else ()
        object.__setattr__(self, "parts", tuple(parts[part] for part in order))
        object.__setattr__(self, "titles", titles)
        object.__setattr__(self, "quality", dict(self.quality))

    def _check_cover(self) -> None:
        where = f"the partition '{self.strategy}'"
        size = len(self.space)
        lengths = [len(part) for part in self.parts]
        if 0 in lengths:
            number = lengths.index(0)
            raise PartitionError(
                f"part {number} of {where} is empty: add a label or remove the part", name=number
            )
        # checked before the labels, because a column outside the space has no name
        times = Counter(i for part in self.parts for i in part)
        outside = [i for i in times if not 0 <= i < size]
        if outside:
            raise PartitionError(
                f"{where} names label column {outside[0]}, but there are only {size} labels "
                f"(0 to {size - 1}): make the partition from the same class list",
                found=outside[0],
                expected=size,
            )
        for index, name in enumerate(self.space.names):
            if times[index] != 1:
                wrong = f"in {times[index]} parts" if times[index] else "in no part"
                raise PartitionError(
                    f"label '{name}' is {wrong} of {where}: put it into exactly one part",
                    label=name,
                    found=times[index],
                    expected=1,
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
        # cached and shared by all callers
        membership.flags.writeable = False
        return membership

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits over labels, strategy and parts, without quality and titles."""
        content = json.dumps([self.space.fingerprint, self.strategy, self.parts])
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def names(self, part: int) -> tuple[str, ...]:
        """Return the label names of one part, in column order."""
        return self.space.subset(self.parts[part]).names

    def require_parts(self, num_parts: int) -> None:
        """Raise a `PartitionError` if there is not one part for each teacher of the pipeline."""
        if self.num_parts != num_parts:
            raise PartitionError(
                f"the partition '{self.strategy}' has {self.num_parts} parts but {num_parts} "
                f"teachers are in the pipeline: make the partition with {num_parts} parts, or set "
                f"partition.num_parts to {self.num_parts}",
                found=self.num_parts,
                expected=num_parts,
            )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON document that is easy to edit: its parts are lists of label names."""
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
        """Read a partition from a document of `to_dict` and check it again.

        The entry ``num_parts`` is only for the reader and is ignored here. An invalid document
        raises a `PartitionError`, a part with a label that is not in ``labels`` a `LabelError`.
        """
        if document.get("schema") != SCHEMA:
            raise PartitionError(
                f"the partition file has schema {document.get('schema')}, this version reads "
                f"{SCHEMA}: make the partition again",
                found=document.get("schema"),
                expected=SCHEMA,
            )
        try:
            read = _Document.model_validate(document)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise PartitionError(
                f"the partition file is wrong at {place} ({first['msg']}): make the partition "
                "again",
                name=place,
            ) from error
        space = LabelSpace(tuple(read.labels))
        parts = _columns(read.parts, space)
        given = read.exponent, read.seed, read.quality, tuple(read.titles)
        return cls(space, read.strategy, parts, *given)


class _Document(BaseModel):
    """What is read of a partition file; entries with a default may be left out."""

    strategy: str
    labels: list[str]
    parts: list[list[str]]
    exponent: float | None = None
    seed: int | None = None
    quality: dict[str, float] = {}
    titles: list[str] = []


def user_partition(
    parts_by_name: Iterable[Sequence[str]] | Mapping[str, Sequence[str]], space: LabelSpace
) -> Partition:
    """Make a partition with the strategy ``"user"`` from lists of label names.

    Parameters
    ----------
    parts_by_name
        Label names of every part; a mapping has the titles of the parts as its keys.
    space
        The labels to cover.

    Raises
    ------
    LabelError
        If a name is not one of the labels.
    PartitionError
        If the parts do not cover the labels, or a part is empty or not a list.

    Examples
    --------
    >>> user_partition([["dog"], ["person", "tie"]], LabelSpace(("person", "tie", "dog"))).parts
    ((0, 1), (2,))
    """
    if isinstance(parts_by_name, Mapping):
        parts = _columns(parts_by_name.values(), space)
        return Partition(space, "user", parts, titles=tuple(parts_by_name))
    return Partition(space, "user", _columns(parts_by_name, space))


def _columns(parts: Iterable[Sequence[str]], space: LabelSpace) -> tuple[tuple[int, ...], ...]:
    """Look up the columns of the labels of every part."""
    columns = []
    for part in parts:
        # a string is a sequence too, of letters
        if isinstance(part, str) or not isinstance(part, Sequence):
            raise PartitionError(
                f"the part {part!r} is not a list: write every part as a list of label names",
                found=part,
            )
        columns.append(tuple(space.indices(part)))
    return tuple(columns)
