"""What known labels say about the others: influences from the label graph, and their strength."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from mlic.evaluation.known_labels import draw_subset
from mlic.labels import PRESENT, UNKNOWN

__all__ = ["SHRINKAGES", "draw_subsets", "fit_strengths", "influences", "surprises"]

SHRINKAGES = (1.0, 3.0, 10.0)  # imagined images of each label in which all labels are independent
SHARE = 0.75  # largest share of the labels that is known in the fit
_STEPS, _PRECISION, _RIDGE = 50, 1e-9, 1e-6


def influences(
    images: float, counts: NDArray[np.floating], together: NDArray[np.floating], shrinkage: float
) -> NDArray[np.float64]:
    r"""Compute how much the presence of label d shifts the log-odds of label c.

    .. math:: J_{cd} = \mathrm{logit}\,\frac{n_{cd} + \kappa\pi_c}{n_d + \kappa}
              - \mathrm{logit}\,\pi_c, \qquad \pi_c = \frac{n_c + 1/2}{N + 1}

    Parameters
    ----------
    images
        Number of images N.
    counts
        Images with each label, n; shape (C,).
    together
        Images with both labels; shape (C, C).
    shrinkage
        The number κ of images with d in which c is as frequent as everywhere; above 0.

    Returns
    -------
    numpy.ndarray
        J, with zeros on its diagonal; shape (C, C).

    Examples
    --------
    >>> together = np.array([[0, 30], [30, 0]])
    >>> influences(100, np.array([40, 40]), together, 1.0).round(2).tolist()
    [[0.0, 1.46], [1.46, 0.0]]
    """
    frequency = (counts + 0.5) / (images + 1)
    given = (together + shrinkage * frequency[:, None]) / (counts + shrinkage)
    # a label that all images have would have an infinite influence
    limits = 0.5 / (images + 1), 1 - 0.5 / (images + 1)
    found: NDArray[np.float64] = logit(given.clip(*limits)) - logit(frequency)[:, None]
    np.fill_diagonal(found, 0)
    return found


def surprises(
    odds: NDArray[np.floating], known: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute how much known presences and absences surprise a model; shape (n, C) each.

    The first is one minus the probability of every label that is known to be present, the second
    minus the probability of every label that is known to be absent; all else is 0.
    """
    probabilities = expit(odds)
    present = np.where(known == PRESENT, 1 - probabilities, 0.0)
    return present, np.where(known == 0, -probabilities, 0.0)


def draw_subsets(
    states: NDArray[np.int8], rng: np.random.Generator, number: int = 4
) -> list[NDArray[np.int8]]:
    """Draw known states so many times: of each image, up to three quarters of the labels.

    States and the results have the shape (n, C).
    """
    return [np.where(draw_subset(states, SHARE, rng), states, UNKNOWN) for _ in range(number)]


def fit_strengths(
    parts: Sequence[tuple[NDArray[np.floating], NDArray[np.integer]]],
    states: NDArray[np.integer],
    influence: NDArray[np.floating],
) -> tuple[float, float, float]:
    """Fit how strongly known presences and known absences change the log-odds of the others.

    The likelihood of the states that are not known is maximised over two factors of the influences,
    which are at least 0.

    Parameters
    ----------
    parts
        Log-odds and the known states with which a model gave them, for images that it was not
        trained on; shape (n, C) each. A model that ignores known states gives the same each time.
    states
        1 present, 0 absent, −1 unknown; shape (n, C).
    influence
        Shape (C, C), as of `influences`.

    Returns
    -------
    present, absent : float
        The factors.
    loss : float
        Mean log-loss of the states that were not known; NaN without any.
    """
    cells = [_hidden_cells(*part, states, influence) for part in parts]
    offset, by_present, by_absent, y = (np.concatenate(part) for part in zip(*cells, strict=True))
    if not len(y):
        return 0.0, 0.0, float("nan")
    found, features = np.zeros(2), np.stack([by_present, by_absent])
    for _ in range(_STEPS):
        p = expit(offset + found @ features)
        gradient = features @ (p - y) + _RIDGE * found
        curvature = (features * (p * (1 - p))) @ features.T + _RIDGE * np.eye(2)
        # A factor that wants to fall below 0 stays there, and the other is fitted alone.
        free = (found > 0) | (gradient < 0)
        step = np.zeros(2)
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
        change = found - np.maximum(found - step, 0)
        found = found - change
        if np.abs(change).max() < _PRECISION:
            break
    z = offset + found @ features
    return float(found[0]), float(found[1]), float(np.mean(np.logaddexp(0, z) - y * z))


def _hidden_cells(
    odds: NDArray[np.floating],
    known: NDArray[np.integer],
    states: NDArray[np.integer],
    influence: NDArray[np.floating],
) -> list[NDArray[np.float64]]:
    """Log-odds, effects of known presences and absences, and states of cells that stay hidden."""
    cells = (known == UNKNOWN) & (states != UNKNOWN)
    effects = [surprise @ influence.T for surprise in surprises(odds, known)]
    return [part[cells] for part in (odds, *effects, states.astype(np.float64))]
