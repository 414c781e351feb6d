"""Description of one training: labels, data, model, recipe and seeds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlic.caching.code_version import training_code_version
from mlic.caching.fingerprint import fingerprint_file
from mlic.errors import DataError, TrainingError
from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix, LabelSpace
from mlic.labels.context import LabelContext
from mlic.models.options import ModelOptions
from mlic.training.distillation_options import DistillationOptions
from mlic.training.optimiser import count_batches
from mlic.training.options import TrainingOptions

__all__ = ["TargetReader", "TrainingJob"]


class TargetReader(Protocol):
    """What a training needs from the teachers' logits; see `mlic.distillation.targets`."""

    space: LabelSpace
    ids: NDArray[np.str_]
    views: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that identify the targets."""

    def read(self, view: int, rows: NDArray[np.intp]) -> dict[str, NDArray[np.floating[Any]]]:
        """Logits of one view of some training images by strategy; shape (B, C) each."""


@dataclass(frozen=True)
class TrainingJob:
    """Complete description of one training: equal jobs yield equal weights on one machine.

    Parameters
    ----------
    name
        ``baseline``, ``student`` or ``teachers.<strategy>_<part>``.
    role
        ``baseline``, ``teacher`` or ``student``.
    labels
        The labels to learn, for all images, in the rows' order of `images`.
    images
        The decoded images.
    image_size
        Side of the model's input, in pixels.
    model, options
        Architecture; budget and recipe, with the role's overrides applied.
    context
        What the model's head may use about the labels to learn.
    seed
        Seed of initial weights, order of the images, and dropout.
    start_seed
        Another seed for initial weights and dropout; None: the same.
    view_seed
        Seed of the images' views, which all jobs of a run share.
    targets, distillation
        Logits of the teachers, and how they are weighted; both or neither.
    provenance
        What else the job was made from, such as strategy, part and the partition's fingerprint.

    Raises
    ------
    DataError
        If labels, images and soft targets do not belong together.
    TrainingError
        If only one of `targets` and `distillation` is given, or the label embeddings are not those
        that the model asks for.
    """

    name: str
    role: str
    labels: LabelMatrix
    images: ImageStore
    image_size: int
    model: ModelOptions
    options: TrainingOptions
    context: LabelContext
    seed: int
    view_seed: int
    start_seed: int | None = None
    targets: TargetReader | None = None
    distillation: DistillationOptions | None = None
    provenance: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        # From here on, images and labels are joined by row number alone.
        if not np.array_equal(self.labels.ids, self.images.ids):
            raise DataError(
                "labels and stored images do not hold the same images in the same order: run the "
                "data_preparation pipeline again"
            )
        self.context.space.require_same(self.labels.space, "the label context", "the labels")
        self._check_embeddings()
        if (self.targets is None) != (self.distillation is None):
            raise TrainingError(
                f"{self.name}: soft targets and distillation options belong together: give both or "
                "neither",
                name=self.name,
            )
        if self.targets is not None:
            self._check_targets(self.targets)

    def _check_embeddings(self) -> None:
        wanted, given = self.model.embeddings.source, self.context.embeddings
        found = given.source if given else "none"
        if wanted not in ("learned", found):
            raise TrainingError(
                f"{self.name}: model.embeddings.source is '{wanted}', but the label embeddings in "
                f"the catalog are '{found}': run the label_statistics pipeline again",
                name=self.name,
                expected=wanted,
                found=found,
            )

    def _check_targets(self, targets: TargetReader) -> None:
        self.labels.space.require_same(targets.space, "the labels", "the soft targets")
        # A stored logit belongs to one crop of an image: for another crop it would be wrong.
        same_views = targets.views == self.views
        if not same_views or not np.array_equal(self.train_ids, targets.ids):
            raise DataError(
                "the soft targets were written for other training images or other views "
                "(training.augmentation, seed): run the baseline_training and teacher_training "
                "pipelines again"
            )

    @property
    def views(self) -> dict[str, Any]:
        """Everything that decides the views of an image, JSON-able."""
        return {"seed": self.view_seed, **self.options.augmentation.model_dump(mode="json")}

    @property
    def train_rows(self) -> NDArray[np.intp]:
        """Rows of the training images."""
        return self.labels.rows("train")

    @property
    def train_ids(self) -> NDArray[np.str_]:
        """Ids of the training images."""
        return self.labels.ids[self.train_rows]

    @property
    def num_batches(self) -> int:
        """Batches in an epoch; without any training image, a `TrainingError`."""
        if not len(self.train_rows):
            raise TrainingError(f"{self.name}: no image is in the training split", name=self.name)
        return count_batches(len(self.train_rows), self.options.batch_size)

    def made_from(self, **sources: Any) -> TrainingJob:
        """Copy the job with further entries in its provenance."""
        return replace(self, provenance={**(self.provenance or {}), **sources})

    def components(self) -> dict[str, Any]:
        """Everything that decides the weights, JSON-able; its digest is the job's fingerprint."""
        distillation = self.distillation.model_dump(mode="json") if self.distillation else None
        # learned embeddings start from the seed, whatever the catalog holds
        uses_embeddings = self.model.embeddings.source != "learned"
        embeddings = self.context.embeddings if uses_embeddings else None
        groups = self.context.partition if self.options.splice.uses_groups else None
        return {
            "data": self.images.fingerprint,
            "labels": self.labels.fingerprint,
            "targets": self.targets.fingerprint if self.targets else None,
            "embeddings": embeddings.subset(self.labels.space).fingerprint if embeddings else None,
            "splice_groups": groups.fingerprint if groups else None,
            "provenance": self.provenance or {},
            "image_size": self.image_size,
            # of files the content counts, wherever they lie
            "model": self.model.model_dump(
                mode="json", exclude={"weights": True, "embeddings": {"file"}}
            ),
            "weights": fingerprint_file(self.model.weights) or self.model.weights,
            # overrides are already applied; those of other roles do not matter, nor do the places
            # where a training runs, and when its state is saved: no weight depends on them.
            "training": self.options.model_dump(
                mode="json", exclude={"overrides", "devices", "save_every_steps"}
            ),
            "distillation": distillation,
            "seed": [self.seed, self.view_seed],
            "start_seed": self.start_seed,
            "code": training_code_version(),
        }
