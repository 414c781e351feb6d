"""What models say of the test images."""

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
        By model name; shape (n, C) with C labels of that model, float32.
    labels
        By model name, the labels of its columns.
    """

    ids: NDArray[np.str_]
    logits: dict[str, NDArray[np.float32]]
    labels: dict[str, tuple[str, ...]]

    def joined(self, space: LabelSpace, models: Sequence[str]) -> NDArray[np.float32]:
        """Logits of models that share the labels out among them, in the order of a space.

        Raises
        ------
        CheckpointError
            If the models leave a label out.
        """
        full = np.full((len(self.ids), len(space)), np.nan, dtype=np.float32)
        for model in models:
            full[:, space.indices(self.labels[model])] = self.logits[model]
        lost = np.isnan(full).any(axis=0)
        if lost.any():
            raise CheckpointError(
                f"no model of {', '.join(models)} knows '{space.names[int(np.argmax(lost))]}', or "
                "its logits are not numbers: train them again"
            )
        return full

    def require_images(self, ids: NDArray[np.str_]) -> None:
        """Refuse predictions for other images.

        Raises
        ------
        DataError
            If the ids differ, or their order.
        """
        if not np.array_equal(self.ids, ids):
            raise DataError(
                "the test predictions are not of the images of the test split: run the reporting "
                "pipeline again"
            )

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        """Arrays and metadata as a safetensors file holds them."""
        about = {"ids": self.ids.tolist(), "labels": self.labels}
        return dict(self.logits), {"about": json.dumps(about)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], metadata: Mapping[str, str]) -> Self:
        """Read back what `to_tensors` wrote."""
        about = json.loads(metadata["about"])
        labels = {model: tuple(names) for model, names in about["labels"].items()}
        return cls(np.asarray(about["ids"], dtype=np.str_), dict(tensors), labels)
