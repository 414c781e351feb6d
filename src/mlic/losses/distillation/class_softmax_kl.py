"""Kullback–Leibler divergence between softmax distributions over the labels."""

from __future__ import annotations

import torch
from torch.nn.functional import log_softmax

from mlic.errors import ParameterError
from mlic.losses.distillation.base import Distiller

__all__ = ["ClassSoftmaxKL"]


class ClassSoftmaxKL(Distiller):
    """``T² KL(softmax(t/T) ‖ softmax(z/T))`` over the labels, an option of PSD's release.

    A softmax treats the labels as mutually exclusive, which the labels of one image are not. This
    distiller is for comparison; `binary_kl` is the correct form. A temperature T that is not above
    0 is a `ParameterError`.
    """

    def __init__(self, temperature: float = 4.0) -> None:
        if not temperature > 0:
            raise ParameterError(f"class-softmax KL: temperature={temperature} must be above 0")
        self.temperature = temperature

    def __call__(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Compute the summands of the divergence; see `Distiller`."""
        # the sum over the labels is the divergence; a task reduces terms, so it gets the summands
        ours = log_softmax(student.float() / self.temperature, dim=1)
        theirs = log_softmax(teacher.float() / self.temperature, dim=1)
        return self.temperature**2 * theirs.exp() * (theirs - ours)
