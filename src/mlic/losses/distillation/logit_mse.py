"""Squared difference of logits: the distiller of the published PSD models."""

from __future__ import annotations

import torch

from mlic.losses.distillation.base import Distiller

__all__ = ["LogitMSE"]


class LogitMSE(Distiller):
    """``(z − T)²`` on raw logits, without sigmoid or temperature (PSD, arXiv 2205.10986)."""

    def __call__(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Compute one term for each image and label; see `Distiller`."""
        # in float32: in float16 the square of a difference above 255 would be infinite
        return (student.float() - teacher.float()) ** 2
