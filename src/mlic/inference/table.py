"""Predictions as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["join_labels", "probability_columns", "tabulate_predictions"]

IMAGE, PREDICTED = "image", "predicted"
SEPARATOR = "; "


def probability_columns(labels: Sequence[str]) -> list[str]:
    """Names of the columns with probabilities: the labels, unless a column has that name already.

    Examples
    --------
    >>> probability_columns(["cat", "image"])
    ['cat', 'image (label)']
    """
    return [f"{name} (label)" if name in (IMAGE, PREDICTED) else name for name in labels]


def join_labels(
    probabilities: NDArray[np.floating], decided: NDArray[np.bool_], labels: Sequence[str]
) -> list[str]:
    """Predicted labels of each image, most probable first; both arrays have the shape (n, C)."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    return [
        SEPARATOR.join(labels[column] for column in columns if decided[row, column])
        for row, columns in enumerate(order)
    ]


def tabulate_predictions(
    images: Sequence[Any],
    probabilities: NDArray[np.float32],
    decided: NDArray[np.bool_],
    labels: Sequence[str],
) -> pd.DataFrame:
    """Tabulate the image, its predicted labels and the probability of each label.

    Probabilities and decisions have the shape (n, C).
    """
    import pandas as pd

    columns = dict(zip(probability_columns(labels), probabilities.T, strict=True))
    predicted = join_labels(probabilities, decided, labels)
    return pd.DataFrame({IMAGE: list(images), PREDICTED: predicted, **columns})
