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
_EXACT = 1e-9  # log-odds up to which bisection may miss `LOWEST`
_STEEPEST = 30.0  # slope of a link: beyond, rounding errors and gradients would be too large


def extend_below(link: Callable[[Tensor], Tensor], pole: float) -> Callable[[Tensor], Tensor]:
    """Continue a link linearly below the logit where it falls under `LOWEST`.

    A link that becomes steeper than 30 before that falls at this slope from there on.

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
    [0.0, -4.4, -9.29]
    """
    lowest = _bisect(lambda logit: _evaluate(link, logit)[0] < LOWEST, pole)
    knot = max(_bisect(lambda logit: _evaluate(link, logit)[1] > _STEEPEST, pole), lowest)
    # where the steep line from the knot has fallen to `LOWEST`, the flat one begins
    drop = _evaluate(link, knot)[0] - LOWEST
    bend = knot - drop / _STEEPEST if drop > _EXACT else knot
    return partial(_extended, link=link, knot=knot, bend=bend)


def _extended(logits: Tensor, link: Callable[[Tensor], Tensor], knot: float, bend: float) -> Tensor:
    # clamped first: the gradient of an infinite value would be NaN even where it is not used
    inside = link(logits.clamp(min=knot))
    below = LOWEST + torch.where(logits < bend, TAIL_SLOPE, _STEEPEST) * (logits - bend)
    return torch.where(logits < knot, below, inside)


def _bisect(is_below: Callable[[float], bool], pole: float) -> float:
    """Find the logit above a pole from which on a condition no longer holds."""
    low, high = pole, pole + _REACH
    while high - low > 1e-12 * max(abs(high), 1):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return high


def _evaluate(link: Callable[[Tensor], Tensor], logit: float) -> tuple[float, float]:
    """Log-odds and slope of a link at one logit, in double precision."""
    with torch.inference_mode(False), torch.enable_grad():  # a model may be built in that mode
        point = torch.tensor(logit, dtype=torch.float64, device="cpu", requires_grad=True)
        odds = link(point)
        (slope,) = torch.autograd.grad(odds, point)
    return float(odds.detach()), float(slope)


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
