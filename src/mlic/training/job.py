"""One training as data: what is learnt, from what, with which options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlic.caching.code_version import training_code_version
from mlic.caching.fingerprint import fingerprint_file
from mlic.errors import DataError, TrainingError

if TYPE_CHECKING:
    from mlic.distillation.targets import SoftTargets
    from mlic.images.store import ImageStore
    from mlic.labels import LabelMatrix
    from mlic.labels.embeddings import LabelEmbeddings
    from mlic.models.options import ModelOptions
    from mlic.training.options import DistillationOptions, TrainingOptions

__all__ = ["TrainingJob"]


@dataclass(frozen=True)
class TrainingJob:
    """A training, whole: two equal jobs yield equal weights on one machine.

    Parameters
    ----------
    name
        ``baseline``, ``student`` or ``teachers.<strategy>_<part>``.
    role
        ``baseline``, ``teacher`` or ``student``.
    labels
        The labels to learn, for every image, row for row with `images`.
    images
        The decoded images.
    image_size
        Side of the model's input, in pixels.
    model, options
        Architecture, and budget and recipe with the role's overrides worked in.
    seed
        The job's own seed, for weights and order.
    view_seed
        The run's seed, for the views, which all jobs of a run share.
    targets, distillation
        What teachers say and how it is weighed; both or neither.
    embeddings
        Vectors of the labels, of these or of more, where the model is given any.
    provenance
        What else made this job, such as strategy, part and the partition's fingerprint.
    """

    name: str
    role: str
    labels: LabelMatrix
    images: ImageStore
    image_size: int
    model: ModelOptions
    options: TrainingOptions
    seed: int
    view_seed: int
    targets: SoftTargets | None = None
    distillation: DistillationOptions | None = None
    embeddings: LabelEmbeddings | None = None
    provenance: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not np.array_equal(self.labels.ids, self.images.ids):
            raise DataError(
                "labels and stored images are not of the same images in the same order: run "
                "the data_preparation pipeline again"
            )
        self._check_embeddings()
        if (self.targets is None) != (self.distillation is None):
            raise TrainingError(
                f"{self.name}: soft targets and distillation options go together: give both or "
                "neither"
            )
        if self.targets is not None:
            self.labels.space.require_same(self.targets.space, "the labels", "the soft targets")
            same_views = self.targets.views == self.views
            if not same_views or not np.array_equal(self.train_ids, self.targets.ids):
                raise DataError(
                    "the soft targets were written for other training images or other views "
                    "(training.augmentation, seed): run the teacher_training pipeline again"
                )

    def _check_embeddings(self) -> None:
        asked = self.model.embeddings.source
        given = self.embeddings.source if self.embeddings else "none"
        if asked not in ("learned", given):
            raise TrainingError(
                f"{self.name}: model.embeddings.source is '{asked}', but the label embeddings at "
                f"hand are '{given}': run the label_statistics pipeline again"
            )

    @property
    def _own_embeddings(self) -> LabelEmbeddings | None:
        if self.embeddings is None or self.model.embeddings.source == "learned":
            return None
        return self.embeddings.subset(self.labels.space)

    @property
    def label_vectors(self) -> NDArray[np.float32] | None:
        """Given vectors of the labels to learn, shape (C, d); None where they are learned."""
        own = self._own_embeddings
        return own.vectors if own else None

    @property
    def views(self) -> dict[str, Any]:
        """What decides the views of an image, JSON-able."""
        return {"seed": self.view_seed, **self.options.augmentation.model_dump(mode="json")}

    @property
    def train_rows(self) -> NDArray[np.intp]:
        """Rows to learn from."""
        return self.labels.rows("train")

    @property
    def train_ids(self) -> NDArray[np.str_]:
        """Ids of the images to learn from."""
        return self.labels.ids[self.train_rows]

    def components(self) -> dict[str, Any]:
        """All that decides the weights, JSON-able: the training's fingerprint, spelt out."""
        soft = self.distillation.model_dump(mode="json") if self.distillation else None
        embeddings = self._own_embeddings
        return {
            "data": self.images.fingerprint,
            "labels": self.labels.fingerprint,
            "targets": self.targets.fingerprint if self.targets else None,
            "embeddings": embeddings.fingerprint if embeddings else None,
            "provenance": self.provenance or {},
            "image_size": self.image_size,
            "model": self.model.model_dump(mode="json"),
            "weights": fingerprint_file(self.model.weights),
            "training": self.options.model_dump(mode="json", exclude={"overrides"}),
            "distillation": soft,
            "seed": [self.seed, self.view_seed],
            "code": training_code_version(),
        }
