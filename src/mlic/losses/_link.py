"""Links: what probability the logits of a loss mean.

A model trained with a loss ``ℓ(z, y)`` settles, where a label is present with probability q, at the
logit z with ``q ∂ℓ(z, 1)/∂z + (1 − q) ∂ℓ(z, 0)/∂z = 0``. Therefore

``q / (1 − q) = −[∂ℓ(z, 0)/∂z] / [∂ℓ(z, 1)/∂z]``,

which is read off the two gradients of the training: no data and no fit are needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from mlic.errors import ParameterError

__all__ = ["LOWEST", "TAIL_SLOPE", "TabulatedLink", "extend_below"]

LOWEST = math.log(1e-4)  # log-odds below which a link that reaches −∞ is continued linearly
TAIL_SLOPE = (
    0.1  # of that continuation: it keeps the order, and the log-loss of rare labels bounded
)
_LIMIT, _STEP = 14.0, 1 / 32  # knots of a table: beyond, float32 has no digits left for 1 − p
_ROUNDING = 0.1  # a smaller decrease of tabulated log-odds is a rounding error of 1 − p
_REACH = 60.0  # logits above a pole among which the knot of a continuation is looked for


def extend_below(link: Callable[[Tensor], Tensor], pole: float) -> Callable[[Tensor], Tensor]:
    """Continue a link linearly below the logit where it falls under `LOWEST`.

    Parameters
    ----------
    link
        Increasing map from logits to log-odds, defined above the pole.
    pole
        Logit at and below which the loss says that the label is never present.

    Examples
    --------
    >>> link = extend_below(torch.log, 0.0)
    >>> link(torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)).round(decimals=2).tolist()
    [0.0, -9.21, -9.31]
    """
    return partial(_extended, link=link, knot=_solve(link, LOWEST, pole))


def _extended(logits: Tensor, link: Callable[[Tensor], Tensor], knot: float) -> Tensor:
    # clamped first: the gradient of an infinite value would be NaN even where it is not used
    inside = link(logits.clamp(min=knot))
    return torch.where(logits < knot, LOWEST + TAIL_SLOPE * (logits - knot), inside)


def _solve(link: Callable[[Tensor], Tensor], value: float, pole: float) -> float:
    """Find the logit at which an increasing link has a value, by bisection."""
    low, high = pole, pole + _REACH
    while high - low > 1e-12 * max(abs(high), 1):
        middle = (low + high) / 2
        if float(link(torch.tensor(middle, dtype=torch.float64, device="cpu"))) < value:
            low = middle
        else:
            high = middle
    return high


class TabulatedLink:
    """Link of any loss, tabulated from the gradients that autograd computes.

    Between the knots it is interpolated linearly; beyond the logits at which a gradient vanishes it
    is continued linearly.

    Parameters
    ----------
    loss
        Maps logits and states of shape (B, 1) to terms of the same shape.

    Raises
    ------
    ParameterError
        If the loss has no increasing link, so that its logits mean no probability.
    """

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        logits = torch.arange(-_LIMIT, _LIMIT + _STEP, _STEP, dtype=torch.float64)
        falling, rising = (_slopes(loss, logits, state) for state in (1, 0))
        usable = (rising > 0) & (falling < 0) & torch.isfinite(rising / falling)
        odds = (rising / -falling).log()[usable]
        if len(odds) < 2 or (odds.diff() < -_ROUNDING).any():
            raise ParameterError(
                f"{type(loss).__name__}: a larger logit must always mean a larger probability, "
                "but its gradients say otherwise: a model trained with it cannot be calibrated "
                "without labels",
                name=type(loss).__name__,
            )
        self._start = float(logits[usable][0])
        self._odds = odds.cummax(0).values

    def __call__(self, logits: Tensor) -> Tensor:
        """Compute log-odds; any shape, in the dtype of the logits."""
        odds, last = self._odds.to(logits), len(self._odds) - 2
        places = (logits - self._start) / _STEP
        left = places.detach().floor().clamp(0, last).long()
        low, high = odds[left], odds[left + 1]
        inside = low + (high - low) * (places - left)
        # Beyond the last knots a table would go on as steeply as it ends.
        below, above = places.clamp(max=0), (places - (last + 1)).clamp(min=0)
        ends = (below + above) * _STEP
        outside = torch.where(places < 0, odds[0], odds[-1]) + TAIL_SLOPE * ends
        return torch.where((places < 0) | (places > last + 1), outside, inside)


def _slopes(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, state: int) -> Tensor:
    """Derivative of the loss at each logit, for one state of the label; float64."""
    with torch.enable_grad():
        column = logits[:, None].clone().requires_grad_()
        terms = loss(column, torch.full(column.shape, state, dtype=torch.int8))
        (slopes,) = torch.autograd.grad(terms.sum(), column)
    return slopes[:, 0].double()
