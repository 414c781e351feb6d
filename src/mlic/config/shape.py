"""What decides the shape of a run: which nodes there are, and what each of them reads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mlic.distillation.teacher_id import TeacherId, list_teachers
from mlic.labels.options import BASELINE, FULL_LABEL
from mlic.training.options import ROLES

if TYPE_CHECKING:
    from mlic.config.parameters import Parameters

__all__ = ["RunShape", "get_shape", "set_shape"]

LISTS = (".csv", ".parquet", ".pq")  # endings of lists of images
# catalog entry of a label-context member
_CONTEXT_ENTRIES = {"embeddings": "label_embeddings", "splice_groups": "partition_cgp"}


@dataclass(frozen=True)
class RunShape:
    """Everything that decides the nodes of a run and how they are connected.

    The fields are copies of the parameters of the same names: the source of the images, the
    strategies whose teachers the student learns from (with ``"baseline"``, the baseline is a
    teacher too), and how the teachers of parts are trained. `context` names the members of the
    label context that are read from the catalog. With `averaging`, the student is
    averaged with the baseline. The last three are the entries of
    the images and of the model of the pipeline ``inference``, and whether labels are known.

    Examples
    --------
    >>> shape = RunShape(strategies=("baseline", "cgp"), num_parts=2)
    >>> [str(teacher) for teacher in shape.teachers], shape.baseline_teaches
    (['cgp_0', 'cgp_1'], True)
    """

    source: Literal["synthetic", "catalog"] = "synthetic"
    strategies: tuple[str, ...] = ("cgp", "dgp")
    num_parts: int = 3
    num_full_label: int = 1
    mode: Literal["separate", "joint", "frozen"] = "joint"
    context: frozenset[str] = frozenset()
    budget_matched_baseline: bool = False
    averaging: bool = False
    head: str = "linear"
    inference_images: str = "new_images"
    inference_model: str = "student.model"
    inference_known: bool = False

    @classmethod
    def from_parameters(cls, parameters: Parameters) -> RunShape:
        """Read the shape off the parameters of a run."""
        partition, model = parameters.partition, parameters.model
        # learned embeddings start from random numbers, so that nothing is read from the catalog
        read = {"embeddings"} if model.embeddings.source != "learned" else set()
        if any(parameters.training.for_role(role).splice.uses_groups for role in ROLES):
            read.add("splice_groups")
        return cls(
            source=parameters.data.source,
            strategies=partition.strategies,
            num_parts=partition.num_parts,
            num_full_label=partition.num_full_label,
            mode=parameters.teachers.mode,
            context=frozenset(read),
            budget_matched_baseline=parameters.controls.budget_matched_baseline,
            averaging=parameters.averaging.enabled,
            head=model.head,
            inference_images=_images_entry(parameters.images),
            inference_model="other_model" if parameters.trained_model else "student.model",
            inference_known=parameters.known is not None,
        )

    @property
    def baseline_teaches(self) -> bool:
        """Whether the baseline is one of the teachers."""
        return BASELINE in self.strategies

    @property
    def trained_strategies(self) -> tuple[str, ...]:
        """Strategies that have teachers of their own."""
        return tuple(name for name in self.strategies if name != BASELINE)

    @property
    def partition_strategies(self) -> tuple[str, ...]:
        """Strategies that partition the labels."""
        return tuple(name for name in self.trained_strategies if name != FULL_LABEL)

    @property
    def teachers(self) -> list[TeacherId]:
        """All teachers that are trained as such, strategy by strategy."""
        return list_teachers(self.trained_strategies, self.num_parts, self.num_full_label)

    def teachers_of(self, strategy: str) -> list[TeacherId]:
        """Teachers of one strategy."""
        return [teacher for teacher in self.teachers if teacher.strategy == strategy]

    @property
    def single_models(self) -> tuple[str, ...]:
        """Models of all labels that are scored alone, in the order of training."""
        control = ("budget_matched_baseline",) * self.budget_matched_baseline
        return (BASELINE, *control, "student")

    @property
    def student_checkpoint(self) -> str:
        """Catalog entry of the finished student."""
        return "averaged_student.checkpoint" if self.averaging else "student.checkpoint"

    @property
    def has_masks(self) -> bool:
        """Whether the masks of objects are known, as for synthetic images."""
        return self.source == "synthetic"

    @property
    def training_inputs(self) -> dict[str, str]:
        """Arguments of `mlic.training.inputs.TrainingInputs`, and the catalog entry of each."""
        entries = {name: _CONTEXT_ENTRIES[name] for name in sorted(self.context)}
        parameters = {name: f"params:{name}" for name in ("data", "model", "training", "seed")}
        return {"images": "images", "labels": "labels", **parameters, **entries}


def _images_entry(images: str | None) -> str:
    """Catalog entry of the images to predict: its own name, or the entry of folders and lists."""
    is_name = images is not None and re.fullmatch(r"[\w.@]+", images) and not Path(images).exists()
    # A name with the ending of a list is a list that does not exist.
    is_entry = is_name and Path(str(images)).suffix.lower() not in LISTS
    return str(images) if is_entry else "new_images"


# The shape of the newest Kedro context, if there is one. Kedro calls `create_pipeline` without
# arguments, so that the hook that knows the parameters leaves the shape here.
_current: list[RunShape] = []


def set_shape(shape: RunShape | None) -> None:
    """Remember the shape of the run that is about to start; None forgets it."""
    _current[:] = [] if shape is None else [shape]


def get_shape() -> RunShape | None:
    """Return the shape that was set last; None if there is none."""
    return _current[0] if _current else None
