"""Logits of a model for stored images."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlic.distillation.joining import round_logits
from mlic.distillation.targets import TeacherLogits
from mlic.images.augmentation import ViewSampler
from mlic.images.preprocess import preprocess_views, preprocess_whole
from mlic.training.device import make_fabric, memory_advice, send
from mlic.training.prefetch import prefetch
from mlic.utils.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from lightning_fabric import Fabric
    from torch import nn

    from mlic.caching.store import ArtifactStore
    from mlic.images.store import ImageStore
    from mlic.models.branch import BranchedClassifiers
    from mlic.models.classifier import MultiLabelClassifier
    from mlic.training.checkpoint import Checkpoint
    from mlic.training.job import TrainingJob
    from mlic.training.options import TrainingOptions

__all__ = [
    "Frame",
    "View",
    "frame_of",
    "predict_checkpoint",
    "predict_logits",
    "predict_training_views",
    "predict_views",
    "read_pixels",
    "read_view",
    "render_view",
    "write_all_logits",
    "write_logits",
]

View = tuple[ViewSampler, int]  # the maker, and the number of the view
Frame = tuple[int, tuple[float, ...], tuple[float, ...]]  # input size, mean, standard deviation


def frame_of(job: TrainingJob, model: MultiLabelClassifier | BranchedClassifiers) -> Frame:
    """Size and normalisation of the images that a job's model is given."""
    mean, std = model.normalisation if job.options.normalise else ((0.0,) * 3, (1.0,) * 3)
    return job.image_size, mean, std


def read_pixels(images: ImageStore, rows: NDArray[np.intp], fabric: Fabric) -> torch.Tensor:
    """Pixels of some images on the device; shape (B, H, W, 3), uint8."""
    return send(np.asarray(images.pixels[rows]), fabric)


def read_view(images: ImageStore, rows: NDArray[np.intp], view: View | None) -> NDArray[np.uint8]:
    """Pixels for `render_view`: all that is done on the CPU; shape (B, H, W, 3).

    Parameters
    ----------
    images, rows
        What to read; rows of shape (B,).
    view
        A view maker and the number of the view; nothing for the whole image.
    """
    stored = np.asarray(images.pixels[rows])
    return stored if view is None else view[0].augment(stored, rows, view[1])


def render_view(
    pixels: NDArray[np.uint8],
    rows: NDArray[np.intp],
    view: View | None,
    frame: Frame,
    fabric: Fabric,
) -> torch.Tensor:
    """What a model sees of a view; shape (B, 3, size, size), float32, on the device.

    Parameters
    ----------
    pixels
        What `read_view` gave for `rows` and `view`.
    rows, view
        As there.
    frame
        Input size, mean and standard deviation.
    fabric
        The device.
    """
    stored = send(pixels, fabric)
    if view is None or not view[0].crops:
        return preprocess_whole(stored, *frame)
    return preprocess_views(stored, send(view[0].boxes(rows, view[1]), fabric), *frame)


def predict_logits(
    model: nn.Module,
    images: ImageStore,
    rows: NDArray[np.intp],
    checkpoint_like: Frame,
    fabric: Fabric,
    batch_size: int,
    view: View | None = None,
) -> NDArray[np.float32]:
    """Run a model in evaluation mode.

    Parameters
    ----------
    model
        Gives logits of shape (B, C); already on the device.
    images, rows
        What to read; rows of shape (n,).
    checkpoint_like
        Input size, mean and standard deviation.
    fabric
        Device and precision.
    batch_size
        Images a forward pass.
    view
        A view maker and the number of the view; nothing for the whole image.

    Returns
    -------
    numpy.ndarray
        Shape (n, C), float32.
    """
    batches = (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))
    on_gpu = fabric.device.type != "cpu"
    was_training = model.training
    model.eval()
    logits = []
    with torch.inference_mode(), fabric.autocast():
        pairs = prefetch(batches, lambda rows: read_view(images, rows, view), on_gpu)
        for batch, pixels in pairs:
            inputs = render_view(pixels, batch, view, checkpoint_like, fabric)
            logits.append(model(inputs).float().cpu())
    model.train(was_training)
    return torch.cat(logits).numpy()


def predict_checkpoint(
    checkpoint: Checkpoint,
    images: ImageStore,
    rows: NDArray[np.intp],
    options: TrainingOptions,
) -> NDArray[np.float32]:
    """Logits of a checkpoint's model for whole images; shape (n, C), float32."""
    fabric, info = make_fabric(options), checkpoint.info
    model = _place(checkpoint.build(), fabric)
    frame = (info.image_size, info.mean, info.std)
    with memory_advice(options, info.name):
        return predict_logits(model, images, rows, frame, fabric, options.batch_size)


def predict_training_views(
    job: TrainingJob, checkpoint: Checkpoint
) -> Iterator[NDArray[np.float32]]:
    """What a trained teacher says of every training image of its job; view by view.

    Yields
    ------
    numpy.ndarray
        Shape (n, C), float32.
    """
    info = checkpoint.info
    frame = (info.image_size, info.mean, info.std)
    yield from predict_views(job, checkpoint.build(), frame, info.name)


def predict_views(
    job: TrainingJob, model: nn.Module, frame: Frame, name: str
) -> Iterator[NDArray[np.float32]]:
    """What a model says of every training image of a job; view by view.

    Parameters
    ----------
    job
        Images, views and batches.
    model
        Gives logits of shape (B, C).
    frame
        Input size, mean and standard deviation.
    name
        What the progress is told of.

    Yields
    ------
    numpy.ndarray
        Shape (n, C), float32.
    """
    options, fabric = job.options, make_fabric(job.options)
    ids, size = job.images.ids.tolist(), options.batch_size
    maker = ViewSampler(ids, options.augmentation, job.view_seed, options.threads)
    model = _place(model, fabric)
    views = range(maker.num_views)
    with memory_advice(options, name):
        for number in progress(views, what=f"{name}: logits", unit="view"):
            view = (maker, number)
            yield predict_logits(model, job.images, job.train_rows, frame, fabric, size, view)


def _place(model: nn.Module, fabric: Fabric) -> nn.Module:
    placed: nn.Module = fabric.to_device(model.to(memory_format=torch.channels_last))
    return placed


def write_logits(
    job: TrainingJob,
    checkpoint: Checkpoint,
    views: Iterable[NDArray[np.float32]],
    store: ArtifactStore,
    dtype: str,
) -> TeacherLogits:
    """Keep what a teacher says of every view, written once, unless it is there already.

    Parameters
    ----------
    job, checkpoint
        The teacher.
    views
        Its logits, view by view, such as `predict_training_views` gives; not asked for a word where
        they are there already.
    store
        Where they are kept.
    dtype
        ``"float16"`` or ``"float32"``.
    """
    (written,) = write_all_logits([job], [checkpoint], ([said] for said in views), [store], dtype)
    return written


def write_all_logits(
    jobs: Sequence[TrainingJob],
    checkpoints: Sequence[Checkpoint],
    views: Iterable[Sequence[NDArray[np.float32]]],
    stores: Sequence[ArtifactStore],
    dtype: str,
) -> list[TeacherLogits]:
    """As `write_logits`, of several teachers whose logits come side by side, view by view."""
    with ExitStack() as stack:
        arrays = {}
        for number, teacher in enumerate(zip(jobs, checkpoints, stores, strict=True)):
            if (blank := _blank(*teacher, dtype)) is not None:
                arrays[number] = stack.enter_context(blank)
        if arrays:
            for said, *own in zip(views, *arrays.values(), strict=True):
                for number, into in zip(arrays, own, strict=True):
                    into[...] = round_logits(said[number], dtype)
    return [TeacherLogits.open(store.folder) for store in stores]


def _blank(
    job: TrainingJob, checkpoint: Checkpoint, store: ArtifactStore, dtype: str
) -> AbstractContextManager[NDArray[Any]] | None:
    """A file for a teacher's logits, unless there is one that is up to date."""
    components = {**job.components(), "teacher": checkpoint.fingerprint, "targets": dtype}
    if store.find("logits", components) is not None:
        return None
    shape = (job.options.augmentation.views, len(job.train_rows), len(job.labels.space))
    blank = TeacherLogits(
        teacher=job.name,
        space=job.labels.space,
        ids=job.train_ids,
        values=np.broadcast_to(np.zeros((), dtype=dtype), shape),
        views=job.views,
        fingerprint=checkpoint.fingerprint,
        partition=(job.provenance or {}).get("partition"),
    )
    return store.fill("logits", components, shape, dtype, blank.describe())
