"""Logits of a model for stored pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from mlic.images.augmentation import ViewMaker
from mlic.images.render import render_views, render_whole
from mlic.training.device import make_fabric, memory_advice
from mlic.training.joining import round_logits
from mlic.training.prefetch import prefetch
from mlic.training.targets import TeacherLogits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lightning_fabric import Fabric
    from torch import nn

    from mlic.images.store import PictureStore
    from mlic.models.classifier import MultiLabelClassifier
    from mlic.training.checkpoint import Checkpoint
    from mlic.training.job import TrainingJob
    from mlic.training.options import TrainingOptions
    from mlic.training.store import CheckpointStore

__all__ = [
    "Frame",
    "View",
    "frame_of",
    "predict_checkpoint",
    "predict_logits",
    "predict_training_views",
    "read_pixels",
    "read_view",
    "render_view",
    "write_logits",
]

View = tuple[ViewMaker, int]  # the maker, and the number of the view
Frame = tuple[int, tuple[float, ...], tuple[float, ...]]  # input size, mean, standard deviation


def frame_of(job: TrainingJob, model: MultiLabelClassifier) -> Frame:
    """Size and normalisation of the pictures that a job's model is given."""
    mean, std = model.normalisation if job.options.normalise else ((0.0,) * 3, (1.0,) * 3)
    return job.image_size, mean, std


def read_pixels(pictures: PictureStore, rows: NDArray[np.intp], fabric: Fabric) -> torch.Tensor:
    """Pixels of some pictures on the device; shape (B, H, W, 3), uint8."""
    batch: torch.Tensor = fabric.to_device(torch.from_numpy(np.asarray(pictures.pixels[rows])))
    return batch


def read_view(
    pictures: PictureStore, rows: NDArray[np.intp], view: View | None
) -> NDArray[np.uint8]:
    """Pixels for `render_view`: all that is done on the CPU; shape (B, H, W, 3).

    Parameters
    ----------
    pictures, rows
        What to read; rows of shape (B,).
    view
        A view maker and the number of the view; nothing for the whole picture.
    """
    stored = np.asarray(pictures.pixels[rows])
    return stored if view is None else view[0].perturb(stored, rows, view[1])


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
    stored = fabric.to_device(torch.from_numpy(pixels))
    if view is None or not view[0].crops:
        return render_whole(stored, *frame)
    boxes = fabric.to_device(torch.from_numpy(view[0].boxes(rows, view[1])))
    return render_views(stored, boxes, *frame)


def predict_logits(
    model: nn.Module,
    pictures: PictureStore,
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
    pictures, rows
        What to read; rows of shape (n,).
    checkpoint_like
        Input size, mean and standard deviation.
    fabric
        Device and precision.
    batch_size
        Pictures a forward pass.
    view
        A view maker and the number of the view; nothing for the whole picture.

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
        pairs = prefetch(batches, lambda rows: read_view(pictures, rows, view), on_gpu)
        for batch, pixels in pairs:
            images = render_view(pixels, batch, view, checkpoint_like, fabric)
            logits.append(model(images).float().cpu())
    model.train(was_training)
    return torch.cat(logits).numpy()


def predict_checkpoint(
    checkpoint: Checkpoint,
    pictures: PictureStore,
    rows: NDArray[np.intp],
    options: TrainingOptions,
) -> NDArray[np.float32]:
    """Logits of a checkpoint's model for whole pictures; shape (n, C), float32."""
    (logits,) = _predict(checkpoint, pictures, rows, options, [None])
    return logits


def predict_training_views(
    job: TrainingJob, checkpoint: Checkpoint
) -> Iterator[NDArray[np.float32]]:
    """What a trained teacher says of every training picture of its job; view by view.

    Yields
    ------
    numpy.ndarray
        Shape (n, C), float32.
    """
    options = job.options
    maker = ViewMaker(
        job.pictures.ids.tolist(), options.augmentation, job.view_seed, options.threads
    )
    views = [(maker, number) for number in range(maker.num_views)]
    bar = tqdm(views, f"{checkpoint.info.name}: logits", unit="view", disable=None, leave=False)
    yield from _predict(checkpoint, job.pictures, job.train_rows, options, bar)


def _predict(
    checkpoint: Checkpoint,
    pictures: PictureStore,
    rows: NDArray[np.intp],
    options: TrainingOptions,
    views: Iterable[View | None],
) -> Iterator[NDArray[np.float32]]:
    fabric = make_fabric(options)
    model = fabric.to_device(checkpoint.build().to(memory_format=torch.channels_last))
    info = checkpoint.info
    frame = (info.image_size, info.mean, info.std)
    with memory_advice(options, info.name):
        for view in views:
            yield predict_logits(model, pictures, rows, frame, fabric, options.batch_size, view)


def write_logits(
    job: TrainingJob,
    checkpoint: Checkpoint,
    views: Iterable[NDArray[np.float32]],
    store: CheckpointStore,
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
    components = {**job.components(), "teacher": checkpoint.fingerprint, "targets": dtype}
    if store.find("logits", components) is None:
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
        with store.fill("logits", components, *blank.to_tensors()) as arrays:
            for own, said in zip(arrays["logits"], views, strict=True):
                own[...] = round_logits(said, dtype)
    return TeacherLogits.open(store.path("logits"))
