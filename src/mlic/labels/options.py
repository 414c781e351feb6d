"""What a person may say about graphs, partitions and label embeddings."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from mlic.utils.strict_model import StrictModel

__all__ = [
    "BASELINE",
    "FULL_LABEL",
    "EmbeddingOptions",
    "GraphStrategy",
    "PartitionOptions",
    "Strategy",
]

GraphStrategy = Literal["cgp", "dgp"]
Strategy = Literal["baseline", "cgp", "dgp", "random", "user", "full_label"]
FULL_LABEL = "full_label"  # its teachers do not share the labels out among them
BASELINE = "baseline"  # it has no teacher of its own
EXPONENTS: dict[GraphStrategy, float] = {"cgp": 1 / 2, "dgp": 1 / 3}


def _split(value: object) -> object:
    """Accept ``cgp+dgp``, because a list cannot be written on Kedro's command line."""
    return value.split("+") if isinstance(value, str) else value


def _complete(given: dict[GraphStrategy, float]) -> dict[GraphStrategy, float]:
    return EXPONENTS | given


class PartitionOptions(StrictModel):
    """How the labels are dealt out to teachers.

    ``cgp`` and ``dgp`` cut a label graph. ``random`` and ``user`` are controls: groups drawn by
    lot, in the sizes of another strategy's, and groups that a person wrote down. ``full_label`` is
    no partition: each of its teachers learns all labels, and they differ by their seed alone. One
    of them is self-distillation, several are an ensemble. ``baseline`` is the baseline itself,
    trained anyway to compare with: as a teacher it costs the writing of its targets.

    Examples
    --------
    >>> chosen = "baseline+cgp+full_label"
    >>> options = PartitionOptions(strategies=chosen, num_parts=3, exponents={"dgp": 0.5})
    >>> options.trained, options.partitioned, options.exponents
    (('cgp', 'full_label'), ('cgp',), {'cgp': 0.5, 'dgp': 0.5})
    """

    strategies: Annotated[tuple[Strategy, ...], BeforeValidator(_split)] = Field(
        default=("baseline", "cgp", "dgp"),
        min_length=1,
        description="one or several, joined by + on the command line",
    )
    num_parts: int = Field(ge=1, description="K, groups a strategy")
    num_full_label: int = Field(default=1, ge=1, description="teachers of the strategy full_label")
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
    def trained(self) -> tuple[Strategy, ...]:
        """The strategies that have teachers of their own: all but ``baseline``."""
        return tuple(strategy for strategy in self.strategies if strategy != BASELINE)

    @property
    def partitioned(self) -> tuple[Strategy, ...]:
        """The strategies that make a partition: all but ``full_label`` and ``baseline``."""
        return tuple(strategy for strategy in self.trained if strategy != FULL_LABEL)

    def too_many_parts(self, num_labels: int) -> str | None:
        """Say that so many labels do not fill the groups; None where they do.

        Examples
        --------
        >>> PartitionOptions(num_parts=4).too_many_parts(7)
        'partition.num_parts: 4 groups of at least 2 do not fit 7 labels; ask for at most 3'
        """
        most = num_labels // self.min_size
        if self.num_parts <= most or not set(self.partitioned) - {"user"}:
            return None
        return (
            f"partition.num_parts: {self.num_parts} groups of at least {self.min_size} do "
            f"not fit {num_labels} labels; ask for at most {most}"
        )


class EmbeddingOptions(StrictModel):
    """Where the vectors come from that stand for labels in a head."""

    source: Literal["learned", "glove", "spectral"] = Field(
        default="learned",
        description="random and learnt by each model; or fixed: word vectors of a file, "
        "eigenvectors of the co-occurrence graph",
    )
    file: str | None = Field(
        default=None, description="of glove: text as GloVe has it, or .npz with names and vectors"
    )
    dimension: int = Field(default=300, ge=1, description="numbers a label")

    @model_validator(mode="after")
    def _file_of_glove(self) -> Self:
        if (self.source == "glove") != (self.file is not None):
            raise ValueError("source: glove and the path of its file go together")
        return self
