"""Angular asymmetric margin loss (AAM, arXiv 2209.06585) on scaled cosines."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from mlic.errors import ParameterError
from mlic.losses._fused import FusedLoss
from mlic.losses._link import TabulatedLink
from mlic.losses._scale import Scale, require_scale, scale_for

__all__ = ["AngularAsymmetricLoss"]

_SHIFT = 0.05  # of the probability of absence, where a focusing exponent is used


class AngularAsymmetricLoss(FusedLoss):
    r"""Weighted cross-entropy of scaled cosines with a margin and focusing [1]_.

    .. math:: \ell = -\frac{k}{s}\, y\, p_-^{\gamma_+} \log p_+
              - \frac{1 - k}{s}\, (1 - y)\, p_+^{\gamma_-} \log p_-,\quad
              p_\pm = \sigma(\pm z - s m),\ z = s \cos\theta

    It is computed from logarithms of sigmoids in float32, and stays finite for cosines of ±1 at any
    scale. Without focusing, its derivative with respect to the cosine is at most k for a present
    label and 1 − k for an absent one, whatever the scale. States may be soft targets in [0, 1].

    Parameters
    ----------
    scale
        The scale s of the logits, which must be that of the head; ``auto``: that of a cosine head
        with as many labels.
    margin
        Margin m of the cosine, from 0 to 1.
    positive_weight
        The weight k of present labels, between 0 and 1.
    gamma_positive, gamma_negative
        Focusing exponents γ₊ and γ₋, at least 0; the weights carry a gradient.
    shift
        Added to p₋, which is then at most 1, so that very easy negatives do not count. None: 0.05
        with a focusing exponent, else 0.
    divide_by_scale
        Whether to divide by s.

    Raises
    ------
    ParameterError
        If an option is out of range.

    References
    ----------
    .. [1] Prokofiev and Sovrasov, "Combining metric learning and attention heads for accurate and
       efficient multilabel image classification", 2022, arXiv:2209.06585.

    Examples
    --------
    >>> loss = AngularAsymmetricLoss(scale=20.0)
    >>> logits = torch.tensor([[20.0, -20.0, 0.0]])  # cosines of 1, −1 and 0
    >>> loss(logits, torch.tensor([[1, 1, -1]])).round(decimals=3)
    tensor([[0.0000, 0.7000, 0.0000]])
    """

    def __init__(
        self,
        scale: Scale = "auto",
        margin: float = 0.0,
        positive_weight: float = 0.7,
        gamma_positive: float = 0.0,
        gamma_negative: float = 0.0,
        shift: float | None = None,
        divide_by_scale: bool = True,
    ) -> None:
        try:
            require_scale(scale)
        except ValueError as error:
            raise ParameterError(f"angular asymmetric loss: {error}", parameter="scale") from error
        if not (
            0 <= margin <= 1
            and 0 < positive_weight < 1
            and min(gamma_positive, gamma_negative) >= 0
            and (shift is None or 0 <= shift < 1)
        ):
            raise ParameterError(
                f"angular asymmetric loss: margin={margin} must be in [0, 1], positive_weight="
                f"{positive_weight} between 0 and 1, gamma_positive={gamma_positive} and "
                f"gamma_negative={gamma_negative} at least 0, and shift={shift} in [0, 1)"
            )
        super().__init__()
        self.scale, self.margin, self.weight = scale, margin, positive_weight
        self.gammas = gamma_positive, gamma_negative
        default = _SHIFT if any(self.gammas) else 0.0
        self.shift = default if shift is None else shift
        self.divides = divide_by_scale
        self._tables: dict[float, TabulatedLink] = {}

    def terms(self, logits: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Compute terms and their derivatives; states are floats."""
        return self._terms_at(logits, states, scale_for(self.scale, logits.shape[-1]))

    def _terms_at(self, logits: Tensor, states: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        # Half precision cannot hold p of a confident prediction: its log would be −∞.
        z = logits if logits.dtype == torch.float64 else logits.float()
        gamma_positive, gamma_negative = self.gammas
        offset, unit = scale * self.margin, 1 / scale if self.divides else 1.0
        # the terms' weights; both are 0 where the state is unknown
        present = states.relu() * (self.weight * unit)
        absent = (1 - states.abs()).relu() * ((1 - self.weight) * unit)
        p, rest = _sigmoid(z - offset)  # rest: of the logarithm, which is never above log 2
        log_present = (z - offset).clamp(max=0) - rest
        if offset:
            q, rest = _sigmoid(-z - offset)
            log_absent = (-z - offset).clamp(max=0) - rest
        else:
            q, log_absent = 1 - p, (-z).clamp(max=0) - rest
        rising, falling = 1 - p, q - 1  # slopes of the logarithms
        if self.shift:  # at least the shift, so that its logarithm is finite
            shifted = q + self.shift
            falling = torch.where(shifted < 1, falling * q / shifted, 0)
            log_absent = shifted.clamp(max=1).log()
        if gamma_positive:
            present = present * (gamma_positive * log_absent).exp()
            rising = rising + gamma_positive * log_present * falling
        if gamma_negative:
            absent = absent * (gamma_negative * log_present).exp()
            falling = falling + gamma_negative * log_absent * (1 - p)
        slopes = -(present * rising + absent * falling)
        return -present * log_present - absent * log_absent, slopes

    def link(self, logits: Tensor) -> Tensor:
        """Compute the log-odds that a logit means; see `Loss.link`.

        Without focusing and margin, it is the logit plus log((1 − k) / k).
        """
        scale = scale_for(self.scale, logits.shape[-1] if logits.ndim else 1)
        if any(self.gammas) or self.shift:
            if scale not in self._tables:
                fixed = AngularAsymmetricLoss(
                    scale, self.margin, self.weight, *self.gammas, self.shift, self.divides
                )
                self._tables[scale] = TabulatedLink(fixed)
            return self._tables[scale](logits)
        offset = scale * self.margin
        balance = math.log((1 - self.weight) / self.weight)
        return logsigmoid(logits + offset) - logsigmoid(offset - logits) + balance


def _sigmoid(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Compute p = σ(z) and min(z, 0) − log p, both from one exponential that cannot overflow."""
    small = (-logits.abs()).exp()
    whole = 1 + small
    return torch.where(logits >= 0, 1, small) / whole, whole.log()
