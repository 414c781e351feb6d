"""Base class of losses."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

from mlic.losses._link import TabulatedLink

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

    def link(self, logits: torch.Tensor) -> torch.Tensor:
        """Compute the log-odds of the probability that a logit means; see `mlic.losses._link`.

        This default is a table of the loss's own gradients. A loss whose link has a closed form
        overrides it.

        Parameters
        ----------
        logits
            Any shape; of a model trained with this loss.

        Returns
        -------
        torch.Tensor
            Log-odds, of the same shape; they increase with the logit.

        Raises
        ------
        ParameterError
            If a larger logit does not always mean a larger probability.
        """
        # Made when it is first asked for, because most losses are only trained with.
        if not hasattr(self, "_table"):
            self._table = TabulatedLink(self)
        return self._table(logits)

    def compile(self) -> None:  # noqa: B027  optional to override
        """Compile the loss with `torch.compile`, if it gains from that."""
