"""Kullback–Leibler divergence between Bernoulli distributions, one for each label."""

from __future__ import annotations

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from mlic.errors import ParameterError
from mlic.losses.distillation.base import Distiller

__all__ = ["BinaryKL"]


class BinaryKL(Distiller):
    """``T² KL(σ(t/T) ‖ σ(z/T))`` for each label (Hinton et al., arXiv 1503.02531, made binary).

    A temperature T that is not above 0 is a `ParameterError`.

    Examples
    --------
    >>> BinaryKL(temperature=2.0)(torch.tensor([[1.0]]), torch.tensor([[1.0]])).item()
    0.0
    """

    def __init__(self, temperature: float = 1.0) -> None:
        if not temperature > 0:
            raise ParameterError(f"binary KL: temperature={temperature} must be above 0")
        self.temperature = temperature

    def __call__(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Compute one term for each image and label; see `Distiller`."""
        z, t = student.float() / self.temperature, teacher.float() / self.temperature
        probability = torch.sigmoid(t)
        # KL divergence = cross-entropy − entropy; both from logits, which is stable for large |t|
        cross_entropy, entropy = (
            binary_cross_entropy_with_logits(a, probability, reduction="none") for a in (z, t)
        )
        # T² makes the size of the gradient independent of T
        return self.temperature**2 * (cross_entropy - entropy)
