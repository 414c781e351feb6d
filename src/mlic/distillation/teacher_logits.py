"""Write a teacher's logits for every view of the training images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlic.caching.store import ArtifactStore
from mlic.distillation.joining import round_logits
from mlic.distillation.targets import TeacherLogits
from mlic.training.checkpoint import Checkpoint
from mlic.training.job import TrainingJob

__all__ = ["write_all_logits", "write_logits"]


def write_logits(
    job: TrainingJob,
    checkpoint: Checkpoint,
    views: Iterable[NDArray[np.float32]],
    store: ArtifactStore,
    dtype: str,
) -> TeacherLogits:
    """Store a teacher's logits for every view, as float16 or float32, unless they are up to date.

    The views are arrays as `mlic.training.predict.predict_training_views` yields; they are not
    consumed if the stored logits are up to date.
    """
    rows = ([logits] for logits in views)  # lazy: nothing is predicted before it is needed
    (written,) = write_all_logits([job], [checkpoint], rows, [store], dtype)
    return written


def write_all_logits(
    jobs: Sequence[TrainingJob],
    checkpoints: Sequence[Checkpoint],
    views: Iterable[Sequence[NDArray[np.float32]]],
    stores: Sequence[ArtifactStore],
    dtype: str,
) -> list[TeacherLogits]:
    """Store the logits of several teachers, which are predicted together; see `write_logits`.

    Every view has one array of logits for each teacher.
    """
    # All files are filled or none: the stack discards the unfinished ones if a prediction fails.
    with ExitStack() as stack:
        arrays = {}
        for number, teacher in enumerate(zip(jobs, checkpoints, stores, strict=True)):
            if (file := _open_new_file(*teacher, dtype)) is not None:
                arrays[number] = stack.enter_context(file)
        # Views are a generator: where every teacher is up to date, nothing is predicted.
        if arrays:
            for logits, *rows in zip(views, *arrays.values(), strict=True):
                for number, row in zip(arrays, rows, strict=True):
                    row[...] = round_logits(logits[number], dtype)
    return [TeacherLogits.open(store.folder) for store in stores]


def _open_new_file(
    job: TrainingJob, checkpoint: Checkpoint, store: ArtifactStore, dtype: str
) -> AbstractContextManager[NDArray[Any]] | None:
    """File for a teacher's logits, to be filled; None if the stored logits are up to date."""
    # "float16" and "float32" are two artifacts: a student of one must not read the other
    components = {**job.components(), "teacher": checkpoint.fingerprint, "targets": dtype}
    if store.find("logits", components) is not None:
        return None
    shape = (job.options.augmentation.views, len(job.train_rows), len(job.labels.space))
    empty = TeacherLogits(
        teacher=job.name,
        space=job.labels.space,
        ids=job.train_ids,
        values=np.broadcast_to(np.zeros((), dtype=dtype), shape),  # takes no memory
        views=job.views,
        fingerprint=checkpoint.fingerprint,
        partition=(job.provenance or {}).get("partition"),
    )
    return store.fill("logits", components, shape, dtype, empty.describe())
