"""The frozen lower layers of a trained model, and what they make of every image, once."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlic.caching.memmap import create_memmap, open_memmap
from mlic.errors import CheckpointError, TrainingError
from mlic.images.augmentation import ViewSampler
from mlic.models.backbone import build_trunk
from mlic.models.branch import TRUNK
from mlic.models.options import BranchedModelOptions
from mlic.training.device import make_fabric, memory_advice
from mlic.training.predict import View, read_view, render_view
from mlic.training.prefetch import prefetch
from mlic.utils.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from mlic.models.branch import Trunk
    from mlic.training.checkpoint import Checkpoint
    from mlic.training.job import TrainingJob

__all__ = ["FrozenTrunk"]

log = logging.getLogger(__name__)

_LARGEST = float(np.finfo(np.float16).max)


class FrozenTrunk:
    """Feature maps of every view of the training images and of the whole validation images.

    They are computed when they are first asked for, into one memory-mapped file of float16, which
    is gone when the ``with`` block ends.

    Parameters
    ----------
    checkpoint
        The trained model whose lower layers are shared.
    job
        Any job of a model with a branch: its images, views and cut.
    folder
        Where the file lies meanwhile.
    """

    def __init__(self, checkpoint: Checkpoint, job: TrainingJob, folder: Path) -> None:
        self.job, self._folder = job, folder
        self.frame = (job.image_size, checkpoint.info.mean, checkpoint.info.std)
        self._source = checkpoint

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in ("training", "validation"):
            for ending in ("npy", "json"):
                (self._folder / f"features_{name}.{ending}").unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"features_{name}.npy"

    @property
    def training(self) -> NDArray[np.float16]:
        """Of every view; shape (views, n, channels, h, w)."""
        return self._features["training"]

    @property
    def validation(self) -> NDArray[np.float16]:
        """Of the whole images; shape (m, channels, h, w)."""
        return self._features["validation"]

    @cached_property
    def weights(self) -> dict[str, NDArray[Any]]:
        """Parameters and buffers by their names in a branched classifier."""
        names, source = self.model.state_dict(), self._source.weights
        return {f"{TRUNK}{name}": source[_name_in_baseline(name)] for name in names}

    @cached_property
    def model(self) -> Trunk:
        """The trunk, frozen and on the device; to build it takes nothing from anyone's chance."""
        options = self.job.model
        assert isinstance(options, BranchedModelOptions)
        with torch.random.fork_rng():
            trunk = build_trunk(options, load_weights=False)
        self._load(trunk)
        frozen = trunk.requires_grad_(False).eval().to(memory_format=torch.channels_last)
        placed: Trunk = make_fabric(self.job.options).to_device(frozen)
        return placed

    def _load(self, trunk: Trunk) -> None:
        source = self._source.weights
        try:
            trunk.load_state_dict(
                {
                    name: torch.from_numpy(np.array(source[_name_in_baseline(name)]))
                    for name in trunk.state_dict()
                }
            )
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(
                f"the lower layers of '{self._source.info.name}' do not fit "
                f"{self.job.model.backbone} ({error}): train it again"
            ) from error

    @cached_property
    def _features(self) -> dict[str, NDArray[Any]]:
        with memory_advice(self.job.options, "the shared trunk"):
            self._write()
        return {name: open_memmap(self._path(name))[0] for name in ("training", "validation")}

    def _write(self) -> None:
        job, options = self.job, self.job.options
        ids = job.images.ids.tolist()
        maker = ViewSampler(ids, options.augmentation, job.view_seed, options.threads)
        fabric = make_fabric(options)
        validation = job.labels.rows("validation")
        one = next(self._maps(fabric, job.train_rows[:1], None)).shape[1:]
        shape = (max(len(validation), 1), *one)
        with create_memmap(self._path("validation"), shape, np.float16, {}) as array:
            _fill(array, self._maps(fabric, validation, None))
        shape = (maker.num_views, len(job.train_rows), *one)
        advice = "lower training.augmentation.views, or set teachers.mode=joint"
        with create_memmap(self._path("training"), shape, np.float16, {}, advice) as array:
            for view in progress(range(maker.num_views), what="shared trunk", unit="view"):
                _fill(array[view], self._maps(fabric, job.train_rows, (maker, view)))

    def _maps(
        self, fabric: Any, rows: NDArray[np.intp], view: View | None
    ) -> Iterator[NDArray[np.float16]]:
        size, images = self.job.options.batch_size, self.job.images
        batches = (rows[start : start + size] for start in range(0, len(rows), size))
        pairs = prefetch(
            batches, lambda rows: read_view(images, rows, view), fabric.device.type != "cpu"
        )
        for batch, pixels in pairs:
            inputs = render_view(pixels, batch, view, self.frame, fabric)
            with torch.inference_mode(), fabric.autocast():
                maps = self.model(inputs)
            if maps.ndim != 4 or not float(maps.abs().max()) <= _LARGEST:
                raise TrainingError(
                    f"features of {self.job.model.backbone} are no maps that float16 can hold: set "
                    "teachers.mode=joint or separate"
                )
            yield maps.half().cpu().numpy()


def _name_in_baseline(name: str) -> str:
    """Name, in the baseline, of a trunk's weight."""
    return f"backbone.{name.removeprefix('model.')}"


def _fill(array: NDArray[np.float16], batches: Iterator[NDArray[np.float16]]) -> None:
    start = 0
    for maps in batches:
        array[start : start + len(maps)] = maps
        start += len(maps)
