"""Configuration of calibration."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlic.utils.strict_model import StrictModel

__all__ = ["CalibrationOptions"]


class CalibrationOptions(StrictModel):
    """How probabilities are calibrated, and how the thresholds of the labels are chosen."""

    fit: Literal["auto", "none", "global", "per_label"] = Field(
        default="auto",
        description="what is fitted on validation images after the loss is undone: nothing, one "
        "slope and bias, or one for each label, shrunk to the common one; auto: the best of them "
        "by cross-fitted log-loss",
    )
    rule: Literal[
        "expected_f1", "precision", "recall", "cost", "top_k", "tuned_f1", "global_f1"
    ] = Field(
        default="expected_f1",
        description="what the thresholds optimise; tuned_f1 and global_f1 are tuned on labels",
    )
    target: float | None = Field(
        default=None,
        description="for precision and recall the share to reach (0.8), for cost the cost of a "
        "missed label divided by that of a wrong one (1), for top_k the number of labels (3)",
    )
    refiner: bool = Field(
        default=True,
        description="whether models get a refiner, by which known labels change the probabilities "
        "of the others; after a head that uses known labels, it corrects what the head left over",
    )
