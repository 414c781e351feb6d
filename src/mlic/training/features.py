"""Features of a frozen trunk: computed once for every view, and read by all branches."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from mlic.caching.blocks import read_rows
from mlic.caching.memmap import create_memmap, open_memmap
from mlic.errors import CheckpointError, TrainingError
from mlic.models.backbone import build_trunk
from mlic.models.options import BranchedModelOptions
from mlic.models.trunk import Trunk
from mlic.training.checkpoint import Checkpoint
from mlic.training.data import TrainingData, View, make_sampler, read_images
from mlic.training.device import make_fabric, memory_advice, send
from mlic.training.job import TrainingJob
from mlic.training.label_mask import LabelMask
from mlic.training.ranks import own_part
from mlic.utils.progress import progress
from mlic.utils.reading import one_line

__all__ = ["FeatureData", "FrozenFeatures", "to_device"]

log = logging.getLogger(__name__)

# float16 halves the files against float32; unlike bfloat16, NumPy can map it.
_MAX_FLOAT16 = float(np.finfo(np.float16).max)
_ADVICE = "lower training.augmentation.views, or set teachers.mode=joint"


class FrozenFeatures:
    """Feature maps of every view of the training images and of the whole validation images.

    They are computed when they are first used, into memory-mapped files of float16 that are deleted
    when the ``with`` block ends.

    Parameters
    ----------
    checkpoint
        The trained model whose lower layers are shared.
    job
        Any job of a model with a branch: it decides images, views and the stage of the branches.
    folder
        Folder of the files.
    """

    def __init__(self, checkpoint: Checkpoint, job: TrainingJob, folder: Path) -> None:
        self.job, self.folder = job, folder
        self.spec = checkpoint.input_spec._replace(size=job.image_size)
        self._source = checkpoint

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for split in ("training", "validation"):
            for path in (self._path(split), self._path(split).with_suffix(".json")):
                path.unlink(missing_ok=True)

    # Ranks map the files that exist then, instead of computing or receiving gigabytes of features.
    def __getstate__(self) -> dict[str, Any]:
        assert self.training is not None and self.validation is not None  # computes them
        keys = ("job", "folder", "spec", "_source", "_map_shape")
        return {key: self.__dict__[key] for key in keys}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for split in ("training", "validation"):
            self.__dict__[split] = open_memmap(self._path(split))[0]

    def _path(self, split: str) -> Path:
        return self.folder / f"features_{split}.npy"

    @cached_property
    def training(self) -> NDArray[np.float16]:
        """Features of every view; shape (views, n, F, h, w)."""
        sampler = make_sampler(self.job)
        rows, views = self.job.train_rows, range(sampler.num_views)
        shape = (len(views), len(rows), *self._map_shape)
        with create_memmap(self._path("training"), shape, np.float16, {}, _ADVICE) as features:
            for view in progress(views, what="shared trunk", unit="view"):
                _fill(features[view], self._compute(rows, (sampler, view)))
        return open_memmap(self._path("training"))[0]

    @cached_property
    def validation(self) -> NDArray[np.float16]:
        """Features of the whole validation images; shape (m, F, h, w)."""
        rows = self.job.labels.rows("validation")
        shape = (max(len(rows), 1), *self._map_shape)  # an empty file cannot be mapped
        with create_memmap(self._path("validation"), shape, np.float16, {}, _ADVICE) as features:
            _fill(features, self._compute(rows, None))
        return open_memmap(self._path("validation"))[0]

    @cached_property
    def _map_shape(self) -> tuple[int, ...]:
        # timm does not state the size of a stage's maps, so one image is tried
        return next(self._compute(self.job.train_rows[:1], None)).shape[1:]

    @cached_property
    def trunk(self) -> Trunk:
        """The trunk, frozen and on the device."""
        options = self.job.model
        assert isinstance(options, BranchedModelOptions)
        # Building draws initial weights, although they are replaced: these draws must not advance
        # the global random generator.
        with torch.random.fork_rng():
            trunk = build_trunk(options, load_weights=False)
        try:
            weights = self._take_weights(trunk)
            trunk.load_state_dict({n: torch.from_numpy(np.array(v)) for n, v in weights.items()})
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(
                f"the lower layers of '{self._source.info.name}' do not fit "
                f"{self.job.model.backbone} ({one_line(error)}): train it again",
                name=self._source.info.name,
            ) from error
        # in evaluation mode, batch norms use their trained statistics and never change them
        trunk.requires_grad_(False).eval().to(memory_format=torch.channels_last)
        placed: Trunk = make_fabric(self.job.options).to_device(trunk)
        return placed

    @property
    def weights(self) -> dict[str, NDArray[Any]]:
        """Parameters and buffers of the trunk, by their names in a `Trunk`."""
        return self._take_weights(self.trunk)

    def _take_weights(self, trunk: Trunk) -> dict[str, NDArray[Any]]:
        source = self._source.weights
        return {n: source[f"backbone.{n.removeprefix('model.')}"] for n in trunk.state_dict()}

    def _compute(self, rows: NDArray[np.intp], view: View | None) -> Iterator[NDArray[np.float16]]:
        options = self.job.options
        fabric = make_fabric(options)
        batches = read_images(self.job.images, rows, self.spec, fabric, options.batch_size, view)
        with memory_advice(options, "the shared trunk"):
            for images in batches:
                with torch.inference_mode(), fabric.autocast():
                    maps = self.trunk(images)
                # An overflow would become infinite in float16. Written so that NaN is refused too.
                if maps.ndim != 4 or not float(maps.abs().max()) <= _MAX_FLOAT16:
                    raise TrainingError(
                        f"the features of {self.job.model.backbone} are no feature maps that "
                        "float16 can hold: set teachers.mode=joint or separate",
                        parameter="teachers.mode",
                    )
                yield maps.half().cpu().numpy()


class FeatureData(TrainingData):
    """Batches of a frozen trunk's features in place of images; see `TrainingData`."""

    def __init__(
        self,
        job: TrainingJob,
        states: NDArray[np.int8],
        features: FrozenFeatures,
        mask: LabelMask | None = None,
    ) -> None:
        super().__init__(job, states, mask)
        self.features = features

    def validation_batches(self, fabric: Fabric) -> Iterator[torch.Tensor]:
        """Feature maps of the validation images; shape (B, F, h, w)."""
        own = self.features.validation[own_part(len(self.validation_rows))]
        yield from to_device(own, fabric, self.job.options.batch_size)

    def _read(self, batch: NDArray[np.intp], view: int) -> NDArray[np.float16]:
        return read_rows(self.features.training[view], batch)

    def _preprocess(
        self, read: NDArray[Any], rows: NDArray[np.intp], epoch: int, view: int, fabric: Fabric
    ) -> torch.Tensor:
        return _place(read, fabric)


def to_device(
    features: NDArray[np.float16], fabric: Fabric, batch_size: int
) -> Iterator[torch.Tensor]:
    """Send features to the device, batch by batch, as float32 with the channels last."""
    for start in range(0, len(features), batch_size):
        yield _place(np.array(read_rows(features, slice(start, start + batch_size))), fabric)


def _place(features: NDArray[np.float16], fabric: Fabric) -> torch.Tensor:
    return send(features, fabric).float().contiguous(memory_format=torch.channels_last)


def _fill(array: NDArray[np.float16], batches: Iterator[NDArray[np.float16]]) -> None:
    start = 0
    for maps in batches:
        array[start : start + len(maps)] = maps
        start += len(maps)
