"""Calibration of a trained model: what its logits mean, and from where a label is predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from mlic.evaluation.decisions import highest_labels
from mlic.evaluation.thresholds import TARGET_DEFAULTS
from mlic.training.options import Choice
from mlic.training.refiner import Refiner
from mlic.utils.strict_model import StrictModel

if TYPE_CHECKING:
    from mlic.training.calibrated_output import CalibratedOutput

__all__ = ["Calibration"]


class Calibration(StrictModel):
    """From logits to calibrated probabilities, and from these to predicted labels.

    The link of the loss turns a logit into the log-odds that it means; a slope and a bias of each
    label correct what training left over. It is stored in the checkpoint.

    Examples
    --------
    >>> calibration = Calibration.unfitted(Choice(name="binary_cross_entropy"), 2)
    >>> probabilities = calibration.probabilities(np.array([[0.0, -3.0]]))
    >>> probabilities.round(3).tolist(), calibration.decide(probabilities).tolist()
    ([[0.5, 0.04699999839067459]], [[True, False]])
    """

    loss: Choice = Field(description="loss of the training, whose link is applied")
    slopes: tuple[float, ...] = Field(description="factor of each label's linked log-odds")
    biases: tuple[float, ...] = Field(description="summand of each label's log-odds")
    thresholds: tuple[float, ...] = Field(
        description="probability from which each label counts as predicted"
    )
    rule: str = Field(description="how the thresholds were chosen")
    target: float | None = Field(default=None, description="target of the rule")
    refiner: Refiner | None = Field(
        default=None, description="how known labels change the log-odds of the others"
    )
    made_from: dict[str, Any] = Field(
        default_factory=dict, description="the fit that was chosen, from how many images, and why"
    )

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if not len(self.slopes) == len(self.biases) == len(self.thresholds):
            raise ValueError("slopes, biases and thresholds must have one value for each label")
        return self

    @classmethod
    def unfitted(cls, loss: Choice, num_labels: int) -> Calibration:
        """Calibration by the link of the loss alone, with all thresholds at 0.5."""
        ones = (1.0,) * num_labels
        half = (0.5,) * num_labels
        return cls(
            loss=loss,
            slopes=ones,
            biases=(0.0,) * num_labels,
            thresholds=half,
            rule="fixed",
            target=0.5,
            made_from={"fit": "none"},
        )

    def odds(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Compute the log-odds that logits mean by the loss alone; any shape, float64."""
        # imported here, because a checkpoint is loaded and saved without torch
        import torch

        from mlic.training.objective import build_chosen_loss

        link = build_chosen_loss(self.loss).link
        with torch.inference_mode():
            found = link(torch.from_numpy(np.asarray(logits, dtype=np.float64)))
        return np.asarray(found.numpy())

    def calibrated_odds(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Compute the log-odds of the calibrated probabilities; shape (n, C) both, float64."""
        slopes, biases = np.asarray(self.slopes), np.asarray(self.biases)
        odds: NDArray[np.float64] = slopes * self.odds(logits) + biases
        return odds

    def probabilities(
        self, logits: NDArray[np.floating], known: NDArray[np.integer] | None = None
    ) -> NDArray[np.float32]:
        """Compute calibrated probabilities of logits; shape (n, C) both, float32.

        The probability of a label that is known (1 present, 0 absent, −1 unknown; shape (n, C)) is
        its state. The others change by the refiner, if there is one.
        """
        from scipy.special import expit

        # in float64: float32 has no digits for the difference of 1 and a large probability
        odds = self.calibrated_odds(logits)
        if known is not None and self.refiner is not None:
            odds = self.refiner.refine(odds, known)
        found = expit(odds) if known is None else np.where(known >= 0, known, expit(odds))
        return np.asarray(found, dtype=np.float32)

    def decide(
        self, probabilities: NDArray[np.floating], known: NDArray[np.integer] | None = None
    ) -> NDArray[np.bool_]:
        """Mark the predicted labels, given calibrated probabilities; shape (n, C) both.

        A label that is known to be present is marked, one that is known to be absent is not.
        """
        if self.rule == "top_k":
            k = TARGET_DEFAULTS["top_k"] if self.target is None else self.target
            decided = highest_labels(probabilities, min(int(k), probabilities.shape[1]))
        else:
            decided = np.asarray(probabilities >= np.asarray(self.thresholds))
        return decided if known is None else np.where(known >= 0, known == 1, decided)

    def module(self) -> CalibratedOutput:
        """Make a module that maps logits to calibrated probabilities; shape (B, C) both.

        It has plain tensor operations only, so that it can be exported.
        """
        from mlic.training.calibrated_output import CalibratedOutput

        return CalibratedOutput(self)
