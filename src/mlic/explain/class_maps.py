"""Class maps of several models for the same pairs of an image and a label."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mlic.errors import DataError
from mlic.labels import PRESENT, LabelMatrix

__all__ = ["ClassMaps", "choose_images"]


@dataclass(frozen=True)
class ClassMaps:
    """Class maps of several models for pairs of an image and a label that is present in it.

    Parameters
    ----------
    ids
        Image id of each pair; shape (n,), strings.
    labels
        Label of each pair; shape (n,), strings.
    maps
        Maps by model name; shape (n, h, w), float32, NaN for pairs whose label the model was not
        trained on. Larger values mean more evidence; the scale differs from map to map.

    Raises
    ------
    DataError
        If ids, labels and maps differ in length.
    """

    ids: NDArray[np.str_]
    labels: NDArray[np.str_]
    maps: dict[str, NDArray[np.float32]]

    def __post_init__(self) -> None:
        # A frozen dataclass can only be changed like this; JSON metadata hold lists, not arrays.
        object.__setattr__(self, "ids", np.asarray(self.ids, dtype=np.str_))
        object.__setattr__(self, "labels", np.asarray(self.labels, dtype=np.str_))
        lengths = {len(self.ids), len(self.labels), *map(len, self.maps.values())}
        if len(lengths) > 1:
            raise DataError(
                f"class maps: images, labels and maps differ in number ({sorted(lengths)}); run "
                "the reporting pipeline again",
                found=sorted(lengths),
            )

    def __len__(self) -> int:
        return len(self.ids)

    def known(self, model: str) -> NDArray[np.bool_]:
        """Return a mask of the pairs that have a map of this model; shape (n,)."""
        return np.asarray(~np.isnan(self.maps[model]).any(axis=(1, 2)))

    def of_pair(self, pair: int) -> dict[str, NDArray[np.float32]]:
        """Return the maps of all models trained on the label of a pair; shape (h, w) each."""
        return {name: maps[pair] for name, maps in self.maps.items() if self.known(name)[pair]}

    def join(self, other: Self) -> Self:
        """Join maps of other models for the same pairs; a DataError if the pairs differ."""
        if not np.array_equal(self.ids, other.ids) or not np.array_equal(self.labels, other.labels):
            raise DataError(
                "class maps of different pairs of image and label cannot be joined: run the "
                "reporting pipeline again",
                name=next(iter(other.maps), None),
            )
        return replace(self, maps=self.maps | other.maps)

    def examples(self, num_labels: int) -> list[int]:
        """Return the first pair of each of the most frequent labels, most frequent label first."""
        labels = self.labels.tolist()  # `most_common` keeps the order of labels of equal frequency
        return [labels.index(name) for name, _ in Counter(labels).most_common(num_labels)]

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        """Convert to the arrays and the metadata of a safetensors file."""
        pairs = {"ids": self.ids.tolist(), "labels": self.labels.tolist()}
        return dict(self.maps), {"about": json.dumps({**pairs, "models": list(self.maps)})}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], metadata: Mapping[str, str]) -> Self:
        """Restore class maps from the output of `to_tensors`."""
        about = json.loads(metadata["about"])
        # A safetensors file sorts its tensors by name; the metadata has the order of the models.
        maps = {model: tensors[model] for model in about["models"]}
        return cls(about["ids"], about["labels"], maps)


def choose_images(labels: LabelMatrix, num_images: int) -> LabelMatrix:
    """Choose images by a hash of their id, so that nobody can pick the ones that look good.

    At most ``num_images`` are returned, in ascending order of the SHA-256 hash of their id. Images
    without a present label are skipped.
    """
    # A hash does not depend on the order of the data set, nor on Python's hash seed.
    hashes = [hashlib.sha256(name.encode()).digest() for name in labels.ids.tolist()]
    order = np.asarray(sorted(range(len(labels)), key=hashes.__getitem__), dtype=np.intp)
    carrying = (labels.states[order] == PRESENT).any(axis=1)
    return labels.take(order[carrying][:num_images])
