"""What every training node takes, as one object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlic.images.options import DataOptions
from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix
from mlic.labels.context import LabelContext
from mlic.labels.embeddings import LabelEmbeddings
from mlic.labels.graph import label_graph
from mlic.labels.options import EXPONENTS
from mlic.labels.statistics import count_labels
from mlic.models.options import HEADS, ModelOptions
from mlic.training.job import TrainingJob
from mlic.training.options import TrainingOptions
from mlic.utils.plugins import find_plugin
from mlic.utils.seeds import derive_seed
from mlic.utils.strict_model import StrictModel

if TYPE_CHECKING:
    # Not imported at run time, so that a change of the partition code retrains nothing.
    from mlic.labels.partition import Partition

__all__ = ["TrainingInputs"]


@dataclass(frozen=True)
class TrainingInputs:
    """Images, labels and options that all trainings of a run share.

    Parameters
    ----------
    images
        The decoded images.
    labels
        States of all labels, in the rows' order of `images`.
    data, model, training
        Configuration. Plain dictionaries are validated, because Kedro passes typed parameters only
        to arguments that a node function names.
    seed
        Seed of the run.
    embeddings
        Label embeddings, if the model's head uses given ones.
    splice_groups
        Groups of the labels, if the partners of spliced images depend on them.

    Raises
    ------
    pydantic.ValidationError
        If a dictionary is no valid configuration.
    """

    images: ImageStore
    labels: LabelMatrix
    data: DataOptions
    model: ModelOptions
    training: TrainingOptions
    seed: int
    embeddings: LabelEmbeddings | None = None
    splice_groups: Partition | None = None

    def __post_init__(self) -> None:
        kinds: dict[str, type[StrictModel]]
        kinds = {"data": DataOptions, "model": ModelOptions, "training": TrainingOptions}
        for name, kind in kinds.items():
            if isinstance(given := getattr(self, name), dict):
                # a frozen dataclass refuses plain assignment
                object.__setattr__(self, name, kind.model_validate(given))

    @cached_property
    def context(self) -> LabelContext:
        """What the model's head needs to know about the labels."""
        needs = find_plugin(HEADS, self.model.head).needs
        statistics = graph = None
        if needs & {"statistics", "graph"}:  # counted here: cheaper than one more catalog entry
            train = self.labels.in_split("train")
            statistics = count_labels(train.states, train.space)
        if "graph" in needs and statistics is not None:
            graph = label_graph(statistics, "cgp", EXPONENTS["cgp"])
        groups = self.splice_groups
        return LabelContext(self.labels.space, statistics, graph, self.embeddings, groups)

    def make_job(
        self, name: str, role: str, label_names: list[str] | None = None, **changes: Any
    ) -> TrainingJob:
        """Describe one training of some labels, by default of all.

        Its role (``baseline``, ``teacher`` or ``student``) decides which overrides apply. Further
        fields of `TrainingJob`, or other values for them, are given as `changes`.
        """
        labels, options = self.labels, self.training.for_role(role)
        if label_names is not None:
            labels = labels.with_labels(labels.space.indices(label_names))
        fields = {
            "labels": labels,
            "images": self.images,
            # a teacher of growing images makes its targets at the last size
            "image_size": options.sizes[-1] if options.sizes else self.data.image_size,
            "model": self.model,
            "options": options,
            "context": self.context if label_names is None else self.context.subset(labels.space),
            # By name, so that a training does not depend on which others the run has; but the
            # views are common to all: the student reads those that its teachers saw.
            "seed": derive_seed(self.seed, name),
            "view_seed": self.seed,
        }
        return TrainingJob(name=name, role=role, **{**fields, **changes})
