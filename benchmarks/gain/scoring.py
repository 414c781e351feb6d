"""The columns of every table, of validation or test images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gain.corel import FEWEST
from mlic.evaluation.metrics import average_precision, threshold_metrics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gain.corel import Words

__all__ = ["COLUMNS", "judge"]

COLUMNS = ("mAP", "mAP_all", "mAP_rare", "out_of_context_mAP", "CF1", "OF1")
THRESHOLD = 0.5


def judge(logits: NDArray[np.floating], words: Words, split: str) -> dict[str, float]:
    """Figures in percent.

    Parameters
    ----------
    logits
        Of the images of a split, in their order; shape (n, C).
    words
        The labels, and which column is about which.
    split
        ``"validation"`` or ``"test"``.

    Returns
    -------
    dict of str to float
        ``mAP``, ``CF1`` and ``OF1`` over the frequent words, ``mAP_rare`` over the others and
        ``mAP_all`` over both; ``out_of_context_mAP`` over the frequent words and the cells that
        `Words.out_of_context` names. A word needs 3 positives of the kind that is judged; a
        column without any such word is left out.
    """
    states = words.labels.in_split(split).states
    precision, judged = _precision(logits, states)
    alone, found = _precision(logits, words.out_of_context(split))
    frequent = judged & words.frequent
    odds = np.exp(-logits[:, frequent].astype(np.float64))
    figures = threshold_metrics(1 / (1 + odds), states[:, frequent], THRESHOLD)
    shares = {
        "mAP": _mean(precision[frequent]),
        "mAP_all": _mean(precision[judged]),
        "mAP_rare": _mean(precision[judged & ~words.frequent]),
        "out_of_context_mAP": _mean(alone[found & words.frequent]),
        "CF1": figures["CF1"],
        "OF1": figures["OF1"],
    }
    return {n: round(100 * share, 3) for n, share in shares.items() if not np.isnan(share)}


def _precision(
    logits: NDArray[np.floating], states: NDArray[np.int8]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    return average_precision(logits, states), (states == 1).sum(axis=0) >= FEWEST


def _mean(figures: NDArray[np.float64]) -> float:
    return float(figures.mean()) if figures.size else float("nan")
