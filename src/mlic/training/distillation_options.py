"""Configuration of teachers, and of the student that learns from them."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mlic.models.options import BranchOptions
from mlic.training.options import Choice, known_plugin
from mlic.utils.strict_model import StrictModel

__all__ = [
    "DISTILLERS",
    "MIDDLE_SHARE",
    "TARGET_FORMATS",
    "AveragingOptions",
    "DistillationOptions",
    "TeacherOptions",
]

DISTILLERS = "mlic.losses.distillation"
MIDDLE_SHARE = 0.5  # of an average: always evaluated, because it shows a barrier
TARGET_FORMATS = r"^(float32|float16|uint8|top_[1-9]\d*)$"


class TeacherOptions(StrictModel):
    """How the teachers of a run are trained, and how their logits are stored."""

    mode: Literal["separate", "joint", "frozen"] = Field(
        default="joint",
        description="separate: one training for each teacher; joint: one training of branches on a "
        "shared trunk; frozen: branches on the trained baseline's layers, which are not trained",
    )
    branch: BranchOptions = Field(
        default=BranchOptions(),
        description="branches of joint and frozen teachers: where they begin, and their width",
    )
    targets: str = Field(
        default="float16",
        pattern=TARGET_FORMATS,
        description="format of stored logits: float16, float32, uint8 (one byte for a label), or "
        "top_<k>, such as top_32 (the k largest of an image); see `mlic.distillation.storage`",
    )


class DistillationOptions(StrictModel):
    """How the student weights labels and teachers.

    ``L = hard_weight · loss + Σ_s soft_weight · share_s · distiller(student, teachers of s)``
    """

    distiller: Annotated[Choice, AfterValidator(partial(known_plugin, DISTILLERS))] = Choice(
        name="binary_kl"
    )
    hard_weight: float = Field(default=0.5, ge=0, description="weight of the loss on the labels")
    soft_weight: float = Field(default=0.5, ge=0, description="weight of all teachers together")
    shares: dict[str, float] | None = Field(
        default=None, description="share of soft_weight for each strategy; null: equal shares"
    )
    linked: bool = Field(
        default=False,
        description="whether the distiller compares the probabilities that the logits mean for the "
        "loss (its link), not the logits themselves",
    )
    start: Literal["random", "baseline"] = Field(
        default="random",
        description="initial weights of the student: random ones of its own, or those that the "
        "baseline started from, its head included",
    )

    def share(self, strategy: str, strategies: list[str]) -> float:
        """Share of the soft weight for one strategy."""
        return 1 / len(strategies) if self.shares is None else self.shares.get(strategy, 0.0)


class AveragingOptions(StrictModel):
    """How the weights of baseline and student are averaged; see `mlic.training.averaging`."""

    enabled: bool = Field(default=False, description="whether the student is averaged")
    shares: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(0.25, 0.5, 0.75),
        min_length=1,
        description="shares of the student's weights, of which validation chooses one, or none",
    )
    images: int = Field(
        default=1000, ge=2, description="training images on which batch norms are estimated anew"
    )
