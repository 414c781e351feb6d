"""One batch: everything that a training task may need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mlic.training.splicing import Splices

__all__ = ["Batch"]


@dataclass(frozen=True)
class Batch:
    """Images of one step with their labels, on the device of the model.

    Parameters
    ----------
    images
        Normalised images, shape (B, 3, H, W); where branches are trained on a frozen trunk, the
        trunk's feature maps, shape (B, F, h, w).
    states
        Label states: 1 present, 0 absent, −1 unknown; shape (B, C), int8.
    rows
        Row numbers of the images in the data set; shape (B,).
    known
        Label states that the model may use, coded like `states`; shape (B, C). None if none.
    soft_targets
        Logits of the teachers by strategy; shape (B, C) each, float32.
    splices
        Images that show several of the batch's images; None if none.
    """

    images: torch.Tensor
    states: torch.Tensor
    rows: NDArray[np.intp]
    known: torch.Tensor | None = None
    soft_targets: Mapping[str, torch.Tensor] = field(default_factory=dict)
    splices: Splices | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def hidden_states(self) -> torch.Tensor:
        """Label states that the model is not shown; the others are −1. Shape (B, C)."""
        return self.states if self.known is None else self.states.where(self.known < 0, -1)
