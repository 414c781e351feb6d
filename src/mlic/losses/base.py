"""Base class of losses."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

__all__ = ["Loss"]


class Loss(ABC):
    """Compares logits with label states.

    A loss is the one public class of a module in `mlic.losses`, and the name of the module is the
    name of the loss. It is built as ``Loss(**options)``.
    """

    @abstractmethod
    def __call__(self, logits: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Compute one term for each image and label.

        Parameters
        ----------
        logits, states
            Shape (B, C). States are 1 present, 0 absent, −1 unknown.

        Returns
        -------
        torch.Tensor
            Shape (B, C), float32; zero where the state is unknown.
        """

    def compile(self) -> None:  # noqa: B027  optional to override
        """Compile the loss with `torch.compile`, if it gains from that."""
