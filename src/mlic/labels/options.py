"""Configuration of label graphs, partitions and label embeddings."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from mlic.utils.strict_model import StrictModel

__all__ = ["BASELINE", "FULL_LABEL", "EmbeddingOptions", "PartitionOptions", "Strategy"]

GraphStrategy = Literal["cgp", "dgp"]
Strategy = Literal["baseline", "cgp", "dgp", "random", "user", "full_label"]
FULL_LABEL = "full_label"  # no partition: each of its teachers learns all labels
BASELINE = "baseline"  # no teacher: the baseline model is the teacher
EXPONENTS: dict[GraphStrategy, float] = {"cgp": 1 / 2, "dgp": 1 / 3}


def _split(value: object) -> object:
    """Accept ``cgp+dgp``, because a list cannot be written on Kedro's command line."""
    return value.split("+") if isinstance(value, str) else value


class PartitionOptions(StrictModel):
    """How the labels are divided among teachers.

    * ``cgp`` and ``dgp`` cut the co-occurrence and the dis-occurrence graph.
    * ``random`` and ``user`` are controls: random groups with the sizes of another strategy's
      groups, and groups listed in a file.
    * ``full_label`` has no partition: each of its teachers learns all labels, and they differ only
      in their seed. One such teacher is self-distillation, several are an ensemble.
    * ``baseline`` uses the baseline model, which is trained anyway, as the teacher.

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
        description="one or several strategies; joined by + on the command line",
    )
    num_parts: int = Field(ge=1, description="K, the number of groups of each strategy")
    num_full_label: int = Field(default=1, ge=1, description="number of teachers of full_label")
    exponents: Annotated[
        dict[GraphStrategy, float], AfterValidator(lambda given: EXPONENTS | given)
    ] = Field(
        default=EXPONENTS,
        description="exponent p of each graph; a strategy that is left out has its default. For "
        "cgp it affects the groups; for dgp only the saved graph, because its groups are cut with "
        "the co-occurrence affinity at p = 1/2",
    )
    min_size: int = Field(default=2, ge=1, description="smallest number of labels in a group")

    @field_validator("strategies")
    @classmethod
    def _unique(cls, strategies: tuple[Strategy, ...]) -> tuple[Strategy, ...]:
        if len(set(strategies)) != len(strategies):
            raise ValueError("a strategy is listed twice")
        return strategies

    @property
    def trained(self) -> tuple[Strategy, ...]:
        """The strategies whose teachers are trained: all but ``baseline``."""
        return tuple(name for name in self.strategies if name != BASELINE)

    @property
    def partitioned(self) -> tuple[Strategy, ...]:
        """The strategies with a partition: all but ``full_label`` and ``baseline``."""
        return tuple(name for name in self.trained if name != FULL_LABEL)

    def too_many_parts(self, num_labels: int) -> str | None:
        """Return a message if there are too few labels for the groups, else None.

        Examples
        --------
        >>> PartitionOptions(num_parts=4).too_many_parts(7)
        'partition.num_parts: 4 groups of at least 2 do not fit 7 labels; ask for at most 3'
        """
        # groups of `user` come from a file and are checked against the labels by `user_partition`
        most = num_labels // self.min_size
        if self.num_parts <= most or not set(self.partitioned) - {"user"}:
            return None
        advice = f"ask for at most {most}"
        if num_labels == 1:
            advice = "one label cannot be divided; set partition.strategies=full_label"
        elif most == 0:
            advice = f"set partition.min_size to at most {num_labels}, and partition.num_parts=1"
        return (
            f"partition.num_parts: {self.num_parts} groups of at least {self.min_size} do "
            f"not fit {num_labels} labels; {advice}"
        )


class EmbeddingOptions(StrictModel):
    """Source of the label vectors that heads use."""

    source: Literal["learned", "glove", "spectral"] = Field(
        default="learned",
        description="learned: initialised at random and trained with each model; glove: fixed word "
        "vectors from a file; spectral: fixed eigenvectors of the co-occurrence graph",
    )
    file: str | None = Field(
        default=None, description="file of glove: GloVe text, or .npz with names and vectors"
    )
    dimension: int = Field(default=300, ge=1, description="length of each vector")

    @model_validator(mode="after")
    def _file_of_glove(self) -> Self:
        if (self.source == "glove") != (self.file is not None):
            raise ValueError("set file with source: glove, and with no other source")
        return self
