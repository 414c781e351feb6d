"""Slopes and biases on log-odds, fitted for all labels together or for each with shrinkage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from mlic.evaluation.calibration import log_loss
from mlic.labels import PRESENT, UNKNOWN

__all__ = ["LogisticFit", "choose_fit", "fit_global", "fit_labels"]

PRIOR_WIDTHS = (0.1, 0.3, 1.0)  # standard deviations of a label's slope and bias around the global
FOLDS = 5
# A slope near 0 would tie all images of a label, and below 0 it would turn their order round.
_SMALLEST_SLOPE = 0.05
_STEPS, _PRECISION = 50, 1e-10
_LARGEST_STEP = 2.0  # of Newton's method, in each coefficient
_RIDGE = 1e-9  # where all cells have one state, the likelihood has no maximum


@dataclass(frozen=True)
class LogisticFit:
    """Log-odds ``slope · z + bias`` of each label.

    Parameters
    ----------
    slopes, biases
        Shape (C,), float64.
    kind
        ``none``, ``global`` or ``per_label``.
    width
        Standard deviation of the labels' prior around the global fit; None for the other kinds.
    """

    slopes: NDArray[np.float64]
    biases: NDArray[np.float64]
    kind: str
    width: float | None = None

    @classmethod
    def identity(cls, num_labels: int) -> LogisticFit:
        """Fit that changes nothing."""
        return cls(np.ones(num_labels), np.zeros(num_labels), "none")

    def probabilities(self, odds: NDArray[np.floating]) -> NDArray[np.float64]:
        """Probabilities of log-odds of shape (n, C)."""
        result: NDArray[np.float64] = expit(self.slopes * odds + self.biases)
        return result


def fit_global(odds: NDArray[np.floating], states: NDArray[np.integer]) -> LogisticFit:
    """Fit one slope and one bias to all known cells, by maximum likelihood (Platt scaling [1]_).

    The slope is the inverse of a temperature. Log-odds and states have the shape (n, C).

    References
    ----------
    .. [1] Platt, "Probabilistic outputs for support vector machines", 1999.
    """
    known = states != UNKNOWN
    z = np.asarray(odds, dtype=np.float64)[known][:, None]
    y = (states[known] == PRESENT)[:, None].astype(np.float64)
    slope, bias = _newton(z, y, np.ones_like(y), np.array([[1.0, 0.0]]), np.inf)[0]
    num_labels = odds.shape[1]
    return LogisticFit(np.full(num_labels, slope), np.full(num_labels, bias), "global")


def fit_labels(
    odds: NDArray[np.floating], states: NDArray[np.integer], width: float
) -> LogisticFit:
    """Fit slope and bias of each label, with a normal prior around the global fit.

    A label with few positives stays near the global fit. Log-odds and states have the shape (n, C);
    `width` is the standard deviation of the prior.
    """
    common = fit_global(odds, states)
    known = (states != UNKNOWN).astype(np.float64)
    centre = np.stack([common.slopes, common.biases], axis=1)
    z, y = np.asarray(odds, dtype=np.float64), (states == PRESENT).astype(np.float64)
    found = _newton(z, y, known, centre, width)
    return LogisticFit(found[:, 0], found[:, 1], "per_label", width)


def choose_fit(
    odds: NDArray[np.floating], states: NDArray[np.integer], kind: str = "auto"
) -> tuple[LogisticFit, dict[str, float]]:
    """Choose no fit, the global one, or one for each label, by cross-fitted log-loss.

    The images are shared out to five folds in turn; each fold is judged by the fit of the others.
    Of equal candidates the simplest is taken.

    Parameters
    ----------
    odds, states
        Linked log-odds, and states (1 present, 0 absent, −1 unknown); shape (n, C).
    kind
        ``auto`` takes the best of all candidates; ``none``, ``global`` and ``per_label`` the best
        of this kind.

    Returns
    -------
    fit : LogisticFit
        The chosen fit, made from all images.
    losses : dict[str, float]
        Cross-fitted log-loss of each candidate: ``none``, ``global``, ``per_label_<width>``.
    """
    candidates = {"none": None, "global": np.inf, **{f"per_label_{w}": w for w in PRIOR_WIDTHS}}
    chosen = {n: w for n, w in candidates.items() if kind == "auto" or n.startswith(kind)}
    folds = np.arange(len(odds)) % FOLDS
    losses = {n: _cross_fitted_loss(odds, states, folds, width) for n, width in chosen.items()}
    best = min(losses, key=lambda name: losses[name])
    return _fit(odds, states, chosen[best]), losses


def _fit(
    odds: NDArray[np.floating], states: NDArray[np.integer], width: float | None
) -> LogisticFit:
    """Fit a candidate: no fit for None, the global one for ∞."""
    if width is None:
        return LogisticFit.identity(odds.shape[1])
    return fit_global(odds, states) if np.isinf(width) else fit_labels(odds, states, width)


def _cross_fitted_loss(
    odds: NDArray[np.floating],
    states: NDArray[np.integer],
    folds: NDArray[np.intp],
    width: float | None,
) -> float:
    probabilities = np.empty(odds.shape)
    for fold in range(FOLDS):
        rest, own = folds != fold, folds == fold
        probabilities[own] = _fit(odds[rest], states[rest], width).probabilities(odds[own])
    return log_loss(probabilities, states)


def _newton(
    z: NDArray[np.float64],
    y: NDArray[np.float64],
    weight: NDArray[np.float64],
    centre: NDArray[np.float64],
    width: float,
) -> NDArray[np.float64]:
    """Maximise each column's posterior by Newton's method.

    Log-odds, states and weights have the shape (n, C), the centre of the prior and the result, with
    slope and bias, the shape (C, 2).
    """
    found, prior = centre.copy(), 1 / width**2 + _RIDGE
    for _ in range(_STEPS):
        p = expit(found[:, 0] * z + found[:, 1])
        error, spread = weight * (p - y), weight * p * (1 - p)
        gradient = np.stack([(error * z).sum(0), error.sum(0)], 1) + prior * (found - centre)
        a, b, c = (spread * z * z).sum(0) + prior, (spread * z).sum(0), spread.sum(0) + prior
        # inverse of the symmetric matrix [[a, b], [b, c]]
        along_slope = c * gradient[:, 0] - b * gradient[:, 1]
        along_bias = a * gradient[:, 1] - b * gradient[:, 0]
        step = np.stack([along_slope, along_bias], 1) / (a * c - b * b)[:, None]
        step = step.clip(-_LARGEST_STEP, _LARGEST_STEP)
        found = found - step
        found[:, 0] = found[:, 0].clip(min=_SMALLEST_SLOPE)
        if np.abs(step).max() < _PRECISION:
            break
    return found
