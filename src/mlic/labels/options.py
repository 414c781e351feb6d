"""What a person may say about graphs and partitions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from mlic.checked import Checked

__all__ = ["PLAIN", "GraphStrategy", "PartitionOptions", "Strategy"]

GraphStrategy = Literal["cgp", "dgp"]
Strategy = Literal["cgp", "dgp", "random", "user", "plain"]
PLAIN = "plain"  # the one strategy whose teachers do not share the labels out among them
EXPONENTS: dict[GraphStrategy, float] = {"cgp": 1 / 2, "dgp": 1 / 3}


def _split(value: object) -> object:
    """Accept ``cgp+dgp``, because a list cannot be written on Kedro's command line."""
    return value.split("+") if isinstance(value, str) else value


def _complete(given: dict[GraphStrategy, float]) -> dict[GraphStrategy, float]:
    return EXPONENTS | given


class PartitionOptions(Checked):
    """How the labels are dealt out to teachers.

    ``cgp`` and ``dgp`` cut a label graph. ``random`` and ``user`` are controls: groups drawn by
    lot, in the sizes of another strategy's, and groups that a person wrote down. ``plain`` is no
    partition: each of its teachers learns all labels, and they differ by their seed alone. One of
    them is self-distillation, several are an ensemble.

    Examples
    --------
    >>> options = PartitionOptions(strategies="cgp+plain", num_parts=3, exponents={"dgp": 0.5})
    >>> options.partitioned, options.exponents
    (('cgp',), {'cgp': 0.5, 'dgp': 0.5})
    """

    strategies: Annotated[tuple[Strategy, ...], BeforeValidator(_split)] = Field(
        default=("cgp", "dgp"),
        min_length=1,
        description="one or several, joined by + on the command line",
    )
    num_parts: int = Field(ge=1, description="K, groups a strategy")
    num_plain: int = Field(default=1, ge=1, description="teachers of the strategy plain")
    exponents: Annotated[dict[GraphStrategy, float], AfterValidator(_complete)] = Field(
        default=EXPONENTS,
        description="p of each graph; one left out keeps its default. cgp's decides the cut; "
        "dgp's only the graph that is kept, for its groups are cut by company at p = 1/2",
    )
    min_size: int = Field(default=2, ge=1, description="fewest labels in a group")

    @field_validator("strategies")
    @classmethod
    def _unique(cls, strategies: tuple[Strategy, ...]) -> tuple[Strategy, ...]:
        if len(set(strategies)) != len(strategies):
            raise ValueError("a strategy stands twice")
        return strategies

    @property
    def partitioned(self) -> tuple[Strategy, ...]:
        """The strategies that make a partition: all but ``plain``."""
        return tuple(strategy for strategy in self.strategies if strategy != PLAIN)
