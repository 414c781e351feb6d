"""Assign a group of labels to each teacher, train the teachers, and predict their logits.

``store`` is the folder of finished trainings; ``**inputs`` are the fields of
`mlic.training.inputs.TrainingInputs`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.distillation.teacher_id import NAMESPACE, TeacherId
from mlic.labels.options import FULL_LABEL, PartitionOptions
from mlic.training.distillation_options import TeacherOptions

if TYPE_CHECKING:
    from mlic.caching.store import ArtifactStore
    from mlic.distillation.targets import TeacherLogits
    from mlic.labels import LabelMatrix
    from mlic.labels.partition import Partition
    from mlic.training.checkpoint import Checkpoint
    from mlic.training.inputs import TrainingInputs
    from mlic.training.job import TrainingJob

    Trained = tuple[list[Checkpoint], list[TeacherLogits]]

__all__ = ["assign_all_labels", "assign_groups", "train_teacher", "train_teachers"]


def assign_groups(partition: Partition, options: PartitionOptions) -> list[dict[str, Any]]:
    """Assign each part to a teacher; another number of parts than teachers is a PartitionError."""
    partition.require_parts(options.num_parts)
    return [
        {
            "strategy": partition.strategy,
            "part": part,
            "labels": list(partition.names(part)),
            "partition": partition.fingerprint,
        }
        for part in range(partition.num_parts)
    ]


def assign_all_labels(labels: LabelMatrix, options: PartitionOptions) -> list[dict[str, Any]]:
    """Assign all labels to every full-label teacher; there is no partition to name."""
    names = list(labels.space.names)
    return [
        {"strategy": FULL_LABEL, "part": number, "labels": names}
        for number in range(options.num_full_label)
    ]


def train_teacher(
    group: dict[str, Any], store: Path, teachers: TeacherOptions, **inputs: Any
) -> tuple[Checkpoint, TeacherLogits]:
    """Train one teacher on all training images, and predict its logits of every view."""
    from mlic.caching.store import ArtifactStore
    from mlic.distillation.teacher_logits import write_logits
    from mlic.tracking.trainings import train_or_reuse
    from mlic.training.inputs import TrainingInputs
    from mlic.training.predict import predict_training_views

    job = _make_job(TrainingInputs(**inputs), group)
    checkpoint = train_or_reuse(job, store)
    views = predict_training_views(job, checkpoint)
    artifacts = ArtifactStore(store / job.name, job.name)
    return checkpoint, write_logits(job, checkpoint, views, artifacts, teachers.targets)


def train_teachers(
    store: Path, teachers: TeacherOptions, baseline: Checkpoint | None = None, **inputs: Any
) -> dict[str, Checkpoint | TeacherLogits]:
    """Train all teachers of parts in one pass: on a trained trunk, or on the frozen baseline.

    Each teacher has its own MLflow run, checkpoint and logits. ``**inputs`` also has the groups of
    labels, as ``group_<teacher>``. Without a ``baseline``, the shared trunk is trained.
    """
    from mlic.caching.store import ArtifactStore
    from mlic.models.options import BranchedModelOptions
    from mlic.training.inputs import TrainingInputs

    groups = [inputs.pop(name) for name in list(inputs) if name.startswith("group_")]
    given = TrainingInputs(**inputs)
    branched = BranchedModelOptions(**given.model.model_dump(), branch=teachers.branch)
    jobs = [_make_job(given, group, model=branched) for group in groups]
    # One folder for each mode, so that trying another mode does not replace what is trained.
    stores = [ArtifactStore(store / job.name / teachers.mode, job.name) for job in jobs]
    if baseline is None:
        trained = _train_jointly(jobs, stores, teachers.targets)
    else:
        trained = _train_on_frozen(jobs, stores, teachers.targets, baseline, store)
    outputs: dict[str, Checkpoint | TeacherLogits] = {}
    for job, checkpoint, logits in zip(jobs, *trained, strict=True):
        name = job.name.removeprefix(f"{NAMESPACE}.")
        outputs |= {f"{name}.checkpoint": checkpoint, f"{name}.logits": logits}
    return outputs


def _train_jointly(jobs: list[TrainingJob], stores: list[ArtifactStore], format: str) -> Trained:
    """Train the branches together with their trunk."""
    from dataclasses import replace

    from mlic.distillation.teacher_logits import write_all_logits
    from mlic.tracking.trainings import train_or_reuse_all
    from mlic.training.tasks.joint_teachers import JointTeachersTask, predict_joint_views
    from mlic.training.train import train
    from mlic.utils.seeds import derive_seed

    # All gradients meet in the trunk: the fingerprint of each teacher names the labels of all.
    together = {job.name: job.labels.fingerprint for job in jobs}
    seed = derive_seed(jobs[0].view_seed, NAMESPACE)
    jobs = [replace(job.made_from(together=together), seed=seed) for job in jobs]
    trained = train_or_reuse_all(
        jobs,
        stores,
        lambda missing, *how: train(JointTeachersTask(missing), *how),
        inseparable=True,
    )
    views = predict_joint_views(jobs, trained)
    return trained, write_all_logits(jobs, trained, views, stores, format)


def _train_on_frozen(
    jobs: list[TrainingJob],
    stores: list[ArtifactStore],
    format: str,
    baseline: Checkpoint,
    store: Path,
) -> Trained:
    """Train branches on features of the baseline; they do not depend on each other."""
    from mlic.distillation.teacher_logits import write_logits
    from mlic.tracking.trainings import train_or_reuse_all
    from mlic.training.features import FrozenFeatures
    from mlic.training.tasks.frozen_branches import FrozenBranchesTask, predict_branch_views
    from mlic.training.train import train

    jobs = [job.made_from(trunk=baseline.fingerprint) for job in jobs]
    # The feature maps are large files, which are deleted at the end of the block.
    with FrozenFeatures(baseline, jobs[0], store) as features:
        trained = train_or_reuse_all(
            jobs,
            stores,
            lambda missing, *how: train(FrozenBranchesTask(missing, features), *how),
        )
        logits = [
            write_logits(job, one, predict_branch_views(job, one, features), artifacts, format)
            for job, one, artifacts in zip(jobs, trained, stores, strict=True)
        ]
    return trained, logits


def _make_job(given: TrainingInputs, group: dict[str, Any], **changes: Any) -> TrainingJob:
    """Describe the training of one teacher."""
    # The seed is derived from the name, so that full-label teachers differ from each other.
    name = TeacherId(group["strategy"], group["part"]).name
    provenance = {key: value for key, value in group.items() if key != "labels"}
    return given.make_job(name, "teacher", group["labels"], provenance=provenance, **changes)
