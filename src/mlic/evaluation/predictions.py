"""Predictions: logits of several models for the same images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mlic.errors import CheckpointError, DataError
from mlic.labels import LabelSpace

__all__ = ["Predictions"]


@dataclass(frozen=True)
class Predictions:
    """Logits of several models for the same images.

    Parameters
    ----------
    ids
        Image ids; shape (n,).
    logits
        Logits by model name; shape (n, C) with the C labels of that model, float32.
    labels
        Label names of the columns, by model name.

    Examples
    --------
    >>> logits = {"a": np.zeros((1, 1), np.float32), "b": np.ones((1, 1), np.float32)}
    >>> predictions = Predictions(np.array(["1.jpg"]), logits, {"a": ("cat",), "b": ("dog",)})
    >>> predictions.joined(LabelSpace(("dog", "cat")), ["a", "b"])
    array([[1., 0.]], dtype=float32)
    """

    ids: NDArray[np.str_]
    logits: dict[str, NDArray[np.float32]]
    labels: dict[str, tuple[str, ...]]

    def joined(self, space: LabelSpace, models: Sequence[str]) -> NDArray[np.float32]:
        """Join the logits of models that each know a part of the labels; shape (n, C), float32.

        The columns are the labels of the space. A `CheckpointError` is raised if no model knows a
        label, or logits are NaN; a `LabelError` if a model has a label outside the space.
        """
        # NaN marks columns that no model fills; a diverged model is found by it too
        full = np.full((len(self.ids), len(space)), np.nan, dtype=np.float32)
        for model in models:
            full[:, space.indices(self.labels[model])] = self.logits[model]
        missing = np.isnan(full).any(axis=0)
        if missing.any():
            label = space.names[int(np.argmax(missing))]
            raise CheckpointError(
                f"none of the models {', '.join(models)} has logits for '{label}', or a logit is "
                "NaN: train them again",
                label=label,
            )
        return full

    def require_images(self, ids: NDArray[np.str_]) -> None:
        """Raise a `DataError` if the predictions are not for these images, in this order."""
        if not np.array_equal(self.ids, ids):
            raise DataError(
                f"the {len(self.ids)} predictions are not for the {len(ids)} images of the test "
                "split: run the reporting pipeline again",
                found=len(self.ids),
                expected=len(ids),
            )

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        """Return arrays and text metadata for one safetensors file."""
        # safetensors metadata are flat text, so that ids and labels go into one JSON entry
        about = {"ids": self.ids.tolist(), "labels": self.labels}
        return dict(self.logits), {"about": json.dumps(about)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], metadata: Mapping[str, str]) -> Self:
        """Create predictions from the result of `to_tensors`."""
        about = json.loads(metadata["about"])
        labels = {model: tuple(names) for model, names in about["labels"].items()}
        return cls(np.asarray(about["ids"], dtype=np.str_), dict(tensors), labels)
