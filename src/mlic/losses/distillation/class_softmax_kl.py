"""Kullback–Leibler divergence of softmax distributions over the labels."""

from __future__ import annotations

import torch
from torch.nn.functional import log_softmax

from mlic.errors import ParameterError

__all__ = ["ClassSoftmaxKL"]


class ClassSoftmaxKL:
    """``T² KL(softmax(t/T) ‖ softmax(z/T))`` over the label axis, as PSD's release offers it.

    A softmax takes labels for exclusive, which those of one image are not: kept to compare
    with, `binary_kl` is the sound form.

    Parameters
    ----------
    temperature
        T, above 0.

    Raises
    ------
    ParameterError
        If T is not above 0.
    """

    def __init__(self, temperature: float = 4.0) -> None:
        if not temperature > 0:
            raise ParameterError(f"class-softmax KL: temperature={temperature} must be above 0")
        self.temperature = temperature

    def __call__(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """The summands of the divergence; shape (B, C), float32."""
        ours = log_softmax(student.float() / self.temperature, dim=1)
        theirs = log_softmax(teacher.float() / self.temperature, dim=1)
        return self.temperature**2 * theirs.exp() * (theirs - ours)
