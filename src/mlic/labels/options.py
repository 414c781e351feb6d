"""What a person may say about graphs and partitions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

__all__ = ["PartitionOptions", "Strategy"]

Strategy = Literal["cgp", "dgp"]


def _split(value: object) -> object:
    """Accept ``cgp+dgp``, because a list cannot be written on Kedro's command line."""
    return value.split("+") if isinstance(value, str) else value


class PartitionOptions(BaseModel):
    """How the labels are cut into groups, one teacher a group."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategies: Annotated[tuple[Strategy, ...], BeforeValidator(_split)] = Field(
        default=("cgp", "dgp"),
        min_length=1,
        description="cgp: labels that keep company; dgp: labels that do not; cgp+dgp: both",
    )
    num_parts: int = Field(ge=1, description="K, groups a strategy")
    exponents: dict[Strategy, float] = Field(
        default={"cgp": 1 / 2, "dgp": 1 / 3}, description="p of each graph"
    )
    min_size: int = Field(default=2, ge=1, description="fewest labels in a group")

    @field_validator("strategies")
    @classmethod
    def _unique(cls, strategies: tuple[Strategy, ...]) -> tuple[Strategy, ...]:
        if len(set(strategies)) != len(strategies):
            raise ValueError("a strategy stands twice")
        return strategies
