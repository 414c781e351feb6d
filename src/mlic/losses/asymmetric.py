"""Asymmetric loss (Ben-Baruch et al., ICCV 2021, arXiv 2009.14119), numerically stable."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from mlic.errors import ParameterError
from mlic.losses._fused import FusedLoss
from mlic.losses._link import extend_below

__all__ = ["AsymmetricLoss"]

# below −60, log σ(z) equals z in float32, and σ(z) approaches the smallest normal number
_BOUND = 60.0


class AsymmetricLoss(FusedLoss):
    """Asymmetric loss: easy negatives are down-weighted or ignored (equations 4 to 7).

    ``L₊ = −(1 − p)^γ₊ log p`` and ``L₋ = −p_m^γ₋ log(1 − p_m)`` with ``p_m = max(p − m, 0)``.
    Logarithms are computed from the logit in float32, so that a confidently missed positive keeps
    its gradient. Equal exponents without a margin and with `focusing_gradient` are the focal loss
    (Lin et al., ICCV 2017, equation 4).

    Parameters
    ----------
    gamma_negative, gamma_positive
        Focusing exponents γ₋ and γ₊, at least 0.
    clip
        Probability margin m in [0, 1); an option out of range is a `ParameterError`.
    focusing_gradient
        Whether the focusing weights carry a gradient. By default they do not, as in the published
        recipe of PSD.

    Examples
    --------
    >>> loss = AsymmetricLoss()
    >>> logits = torch.tensor([[-80.0, 3.0, 0.0]], requires_grad=True)
    >>> loss(logits, torch.tensor([[1, 1, -1]])).sum().backward()
    >>> logits.grad[0, 0].item(), logits.grad[0, 2].item() == 0
    (-1.0, True)
    """

    def __init__(
        self,
        gamma_negative: float = 4.0,
        gamma_positive: float = 0.0,
        clip: float = 0.05,
        focusing_gradient: bool = False,
    ) -> None:
        if min(gamma_negative, gamma_positive) < 0 or not 0 <= clip < 1:
            raise ParameterError(
                f"asymmetric loss: gamma_negative={gamma_negative} and gamma_positive="
                f"{gamma_positive} must be at least 0, and clip={clip} must be in [0, 1)"
            )
        super().__init__()
        self._options: dict[str, Any] = {
            "gamma_negative": gamma_negative,
            "gamma_positive": gamma_positive,
            "clip": clip,
            "focusing_gradient": focusing_gradient,
        }
        self._link: Callable[[Tensor], Tensor] = partial(_link, **self._options)
        if clip:  # probabilities up to the margin have no gradient: the link is −∞ there
            self._link = extend_below(self._link, math.log(clip / (1 - clip)))

    def terms(self, logits: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Compute terms and their derivatives; states are floats."""
        return _terms(logits, states, **self._options)

    def link(self, logits: Tensor) -> Tensor:
        """Compute the log-odds that a logit means; see `Loss.link`."""
        return self._link(logits if logits.dtype == torch.float64 else logits.float())


def _link(
    logits: Tensor,
    gamma_negative: float,
    gamma_positive: float,
    clip: float,
    focusing_gradient: bool,
) -> Tensor:
    """Compute the log of −(∂L₋/∂z) / (∂L₊/∂z); needs p > clip."""
    p, shifted = logits.sigmoid(), logits.sigmoid() - clip
    # log(1 − p) is exact for large logits where log(1 − p_m) with m = 0 would be −∞
    log_rest = torch.log1p(-shifted) if clip else -softplus(logits)
    odds = logsigmoid(logits) + gamma_positive * softplus(logits) - log_rest
    if gamma_negative:
        odds = odds + gamma_negative * (shifted.log() if clip else logsigmoid(logits))
    if not focusing_gradient:
        return odds
    # The derivatives of the weights add these factors; both ratios tend to 1 where they are 0 / 0.
    tiny = torch.finfo(p.dtype).tiny
    below = -log_rest / shifted.clamp(min=tiny)
    above = softplus(-logits) / (-logits).sigmoid().clamp(min=tiny)
    negative = torch.log1p(gamma_negative * (1 - shifted) * below)
    return odds + negative - torch.log1p(gamma_positive * p * above)


def _terms(
    logits: Tensor,
    states: Tensor,
    gamma_negative: float,
    gamma_positive: float,
    clip: float,
    focusing_gradient: bool,
) -> tuple[Tensor, Tensor]:
    """Compute loss and derivative, element by element; states are floats.

    Signs and weights are products, not masks, because masks are slower on a processor.
    """
    # Half precision has 11 bits at the most: 1 − p would be 0 for every confident prediction.
    z, states = logits.float(), states.float()
    positive, negative = states.relu(), 1 - states.abs()
    sign = positive - negative  # 0 where the state is unknown
    signed = z * sign
    p = signed.clamp(min=-_BOUND).sigmoid_()  # probability of the true state
    shifted = torch.add(p, negative, alpha=clip).clamp_(max=1)  # p, or 1 − p_m
    missing = 1 - shifted
    weights = torch.addcmul(
        positive * missing**gamma_positive if gamma_positive else positive,
        negative,
        _power(missing, gamma_negative),
    )
    slopes = (p - 1).mul_(p).div_(shifted).mul_(weights).mul_(sign)
    if focusing_gradient:
        gammas = gamma_positive * positive + gamma_negative * negative
        # 0 where the weight is constantly 0: the logarithm of the shifted probability is 0 there
        weight_slopes = gammas * missing.clamp(min=1e-12) ** (gammas - 1)
        slopes += (1 - p).mul_(p).mul_(weight_slopes).mul_(shifted.log()).mul_(sign)
    # Continue log p linearly below the bound. With a margin the loss of negatives is bounded, and
    # their weight cancels what the first term adds to them.
    beyond = (-_BOUND - (z if clip else signed)).relu_()
    return beyond.sub_(shifted.log_()).mul_(weights), slopes


def _power(base: Tensor, exponent: float) -> Tensor:
    """Power with 0⁰ = 0: negatives within the margin have weight 0 for every exponent."""
    if exponent == 4:  # the default, for which torch has no fast path
        return base.square().square_()
    return base**exponent if exponent else (base > 0).to(base.dtype)
