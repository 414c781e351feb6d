"""Names of teachers, parsed and printed in one place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from mlic.errors import ParameterError
from mlic.labels.options import FULL_LABEL

__all__ = ["NAMESPACE", "TeacherId", "list_teachers", "strategy_of"]

NAMESPACE = "teachers"  # Kedro namespace of all teachers

# greedy: a strategy's name may have underscores of its own, as in full_label_0
_NAME = re.compile(rf"(?:{NAMESPACE}\.)?(?P<strategy>.+)_(?P<part>\d+)")


@dataclass(frozen=True, order=True)
class TeacherId:
    """Identity of one teacher: its strategy, such as ``"cgp"``, and the number of its part, from 0.

    Examples
    --------
    >>> teacher = TeacherId("cgp", 1)
    >>> str(teacher), teacher.name
    ('cgp_1', 'teachers.cgp_1')
    >>> TeacherId.parse("teachers.full_label_0")
    TeacherId(strategy='full_label', part=0)
    """

    strategy: str
    part: int

    def __str__(self) -> str:
        return f"{self.strategy}_{self.part}"

    @property
    def name(self) -> str:
        """Qualified name, ``teachers.<strategy>_<part>``: the prefix of its catalog entries."""
        return f"{NAMESPACE}.{self}"

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read ``teachers.<strategy>_<part>`` or ``<strategy>_<part>``.

        Any other name is a `ParameterError`.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            raise ParameterError(
                f"'{name}' is not the name of a teacher: write teachers.<strategy>_<part>, "
                "such as teachers.cgp_0"
            )
        return cls(match["strategy"], int(match["part"]))


def list_teachers(
    strategies: Sequence[str], num_parts: int, num_full_label: int = 1
) -> list[TeacherId]:
    """All teachers of a run, strategy by strategy.

    A strategy that partitions the labels has `num_parts` teachers. The strategy ``full_label`` has
    `num_full_label`, each of which learns all labels.

    Examples
    --------
    >>> [str(teacher) for teacher in list_teachers(["cgp", "full_label"], num_parts=2)]
    ['cgp_0', 'cgp_1', 'full_label_0']
    """
    numbers = {name: num_full_label if name == FULL_LABEL else num_parts for name in strategies}
    return [TeacherId(name, part) for name in strategies for part in range(numbers[name])]


def strategy_of(model: str) -> str:
    """Strategy of a teacher; the name itself of any other model.

    Examples
    --------
    >>> strategy_of("teachers.cgp_1"), strategy_of("student")
    ('cgp', 'student')
    """
    is_teacher = model.startswith(f"{NAMESPACE}.")
    return TeacherId.parse(model).strategy if is_teacher else model
