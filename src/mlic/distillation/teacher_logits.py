"""Write teachers' logits for every view of the training images.

Logits come in blocks of consecutive images: those of the first view, then those of the second, and
so on. A block has one array for each teacher.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlic.caching.store import ArtifactStore
from mlic.distillation.storage import encode_logits, stored_as
from mlic.distillation.targets import TeacherLogits
from mlic.training.checkpoint import Checkpoint
from mlic.training.job import TrainingJob

__all__ = ["write_all_logits", "write_logits"]


def write_logits(
    job: TrainingJob,
    checkpoint: Checkpoint,
    blocks: Iterable[NDArray[np.float32]],
    store: ArtifactStore,
    format: str,
) -> TeacherLogits:
    """Store a teacher's logits in a format of `mlic.distillation.storage`, unless up to date.

    The blocks are those of `mlic.training.predict.predict_training_views`; they are not consumed
    if the stored logits are up to date.
    """
    single = ([logits] for logits in blocks)  # lazy: nothing is predicted before it is needed
    (written,) = write_all_logits([job], [checkpoint], single, [store], format)
    return written


def write_all_logits(
    jobs: Sequence[TrainingJob],
    checkpoints: Sequence[Checkpoint],
    blocks: Iterable[Sequence[NDArray[np.float32]]],
    stores: Sequence[ArtifactStore],
    format: str,
) -> list[TeacherLogits]:
    """Store the logits of several teachers, which are predicted together; see `write_logits`."""
    # All files are filled or none: the stack discards the unfinished ones if a prediction fails.
    with ExitStack() as stack:
        arrays = {}
        for number, teacher in enumerate(zip(jobs, checkpoints, stores, strict=True)):
            if (file := _open_new_file(*teacher, format)) is not None:
                arrays[number] = stack.enter_context(file)
        # Blocks are a generator: where every teacher is up to date, nothing is predicted.
        if arrays:
            _fill(arrays, blocks)
    return [TeacherLogits.open(store.folder) for store in stores]


def _fill(
    arrays: Mapping[int, NDArray[Any]], blocks: Iterable[Sequence[NDArray[np.float32]]]
) -> None:
    """Write each teacher's part of every block into its array, whose first axis are the views."""
    # images of all views, one after the other
    flat = {number: array.reshape(-1, *array.shape[2:]) for number, array in arrays.items()}
    start = 0
    for logits in blocks:
        images = slice(start, start + len(logits[0]))
        for number, rows in flat.items():
            rows[images] = encode_logits(logits[number], rows.dtype)
        start = images.stop
    if any(start != len(rows) for rows in flat.values()):
        raise ValueError(f"the blocks have {start} images in all")


def _open_new_file(
    job: TrainingJob, checkpoint: Checkpoint, store: ArtifactStore, format: str
) -> AbstractContextManager[NDArray[Any]] | None:
    """File for a teacher's logits, to be filled; None if the stored logits are up to date."""
    # "float16" and "float32" are two artifacts: a student of one must not read the other
    components = {**job.components(), "teacher": checkpoint.fingerprint, "targets": format}
    if store.find("logits", components) is not None:
        return None
    size = (job.options.augmentation.views, len(job.train_rows), len(job.labels.space))
    shape, dtype = stored_as(format, size)
    empty = TeacherLogits(
        teacher=job.name,
        space=job.labels.space,
        ids=job.train_ids,
        values=np.broadcast_to(np.zeros((), dtype=dtype), shape),  # takes no memory
        views=job.views,
        fingerprint=checkpoint.fingerprint,
        format=format,
        partition=(job.provenance or {}).get("partition"),
    )
    return store.fill("logits", components, shape, dtype, empty.describe())
