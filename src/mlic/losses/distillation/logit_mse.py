"""Squared distance of logits: the distiller of the published PSD models."""

from __future__ import annotations

import torch

__all__ = ["LogitMSE"]


class LogitMSE:
    """``(z − T)²`` on raw logits, without sigmoid or temperature (PSD, arXiv 2205.10986).

    Examples
    --------
    >>> LogitMSE()(torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 0.0]])).tolist()
    [[4.0, 0.0]]
    """

    def __call__(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """One term a cell; shape (B, C), float32."""
        return (student.float() - teacher.float()) ** 2
