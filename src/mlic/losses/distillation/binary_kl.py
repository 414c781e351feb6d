"""Kullback–Leibler divergence of one Bernoulli distribution a label."""

from __future__ import annotations

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from mlic.errors import ParameterError

__all__ = ["BinaryKL"]


class BinaryKL:
    """``T² KL(σ(t/T) ‖ σ(z/T))`` for each label by itself (Hinton et al. 2015, made binary).

    Parameters
    ----------
    temperature
        T, above 0. The factor T² keeps the gradient's size the same for every T.

    Raises
    ------
    ParameterError
        If T is not above 0.

    Examples
    --------
    >>> kl = BinaryKL(temperature=2.0)
    >>> kl(torch.tensor([[1.0]]), torch.tensor([[1.0]])).item()
    0.0
    """

    def __init__(self, temperature: float = 1.0) -> None:
        if not temperature > 0:
            raise ParameterError(f"binary KL: temperature={temperature} must be above 0")
        self.temperature = temperature

    def __call__(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """One term a cell; shape (B, C), float32."""
        z, t = student.float() / self.temperature, teacher.float() / self.temperature
        likely = torch.sigmoid(t)
        cross, own = (binary_cross_entropy_with_logits(a, likely, reduction="none") for a in (z, t))
        return self.temperature**2 * (cross - own)
