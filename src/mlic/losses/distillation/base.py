"""Base class of distillers."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

__all__ = ["Distiller"]


class Distiller(ABC):
    """Measures how far a student's logits are from a teacher's.

    A distiller is the one public class of a module in `mlic.losses.distillation`, and the name of
    the module is the name of the distiller. It is built as ``Distiller(**options)``.
    """

    @abstractmethod
    def __call__(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Compute one term for each image and label, whether or not the label's state is known.

        Parameters
        ----------
        student, teacher
            Logits; shape (B, C).

        Returns
        -------
        torch.Tensor
            Shape (B, C), float32.
        """
