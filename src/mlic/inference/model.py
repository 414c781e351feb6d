"""A trained model in hand: predict images, and see why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mlic.errors import CheckpointError, DataError
from mlic.explain.activation import attention_maps, class_activation
from mlic.images.decode import ImageSource
from mlic.images.preprocess import preprocess_whole
from mlic.inference.decoding import decode_batches
from mlic.inference.known import Known, known_states
from mlic.inference.table import tabulate_predictions
from mlic.training.checkpoint import Checkpoint, load_checkpoint

if TYPE_CHECKING:
    import pandas as pd

    from mlic.models.classifier import MultiLabelClassifier
    from mlic.training.calibration import Calibration

__all__ = ["Images", "TrainedModel", "load_model"]

Images: TypeAlias = str | ImageSource | Sequence[str | ImageSource]


class TrainedModel:
    """A model that is ready to use: weights, labels, calibrated probabilities and thresholds.

    Parameters
    ----------
    checkpoint
        The trained model.
    device
        Where it computes, such as ``"cpu"`` or ``"cuda:1"``; None takes a GPU if there is one.
    """

    def __init__(self, checkpoint: Checkpoint, device: str | torch.device | None = None) -> None:
        self.checkpoint = checkpoint
        default = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device or default)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of all outputs."""
        return self.checkpoint.info.labels

    @cached_property
    def calibration(self) -> Calibration:
        """Calibrated probabilities and thresholds of the model."""
        return self.checkpoint.calibration

    @property
    def thresholds(self) -> dict[str, float]:
        """Probability from which each label counts as predicted."""
        return dict(zip(self.labels, self.calibration.thresholds, strict=True))

    @cached_property
    def module(self) -> MultiLabelClassifier:
        """The torch module, from normalised images to logits, in evaluation mode."""
        module = self.checkpoint.build().fold().requires_grad_(False)
        # the memory format of training, so that the same kernels run
        module.to(memory_format=torch.channels_last)
        return module.to(self.device)

    def predict(
        self, images: Images, batch_size: int = 32, known: Known | None = None
    ) -> pd.DataFrame:
        """Predict the labels of images.

        Parameters
        ----------
        images
            Paths, encoded bytes, images of Pillow, arrays of RGB pixels (H, W, 3) of uint8, or a
            sequence of these.
        batch_size
            Images in a forward pass.
        known
            What is known about labels already, for models that can use it: ``{"fork": True}`` for
            all images, or states (1 present, 0 absent, −1 unknown) of shape (n, C).

        Returns
        -------
        pandas.DataFrame
            One row for each image: ``image`` (its path, or its number), ``predicted`` (the
            predicted labels, most probable first, separated by semicolons), and a column for each
            label with its calibrated probability, float32.

        Raises
        ------
        DataError
            If an image is missing or unreadable.
        LabelError, ParameterError
            If a known label is none of the model, or the model cannot use known labels.
        """
        sources = _as_list(images)
        names = [str(s) if isinstance(s, str | Path) else i for i, s in enumerate(sources)]
        states = known_states(self.checkpoint, known, len(sources))
        probabilities = self.probabilities(sources, batch_size, states)
        decided = self.calibration.decide(probabilities, states)
        return tabulate_predictions(names, probabilities, decided, self.labels)

    def probabilities(
        self, images: Images, batch_size: int = 32, known: Known | None = None
    ) -> NDArray[np.float32]:
        """Compute calibrated probabilities, shape (n, C); the arguments are those of `predict`.

        The probability of a known label is its state.
        """
        sources = _as_list(images)
        states = known_states(self.checkpoint, known, len(sources))
        return self.calibration.probabilities(self.logits(sources, batch_size, states), states)

    def logits(
        self, images: Images, batch_size: int = 32, known: Known | None = None
    ) -> NDArray[np.float32]:
        """Compute logits of shape (n, C), float32; the arguments are those of `predict`.

        Known labels change them only if the model's head uses known labels, and are not set to
        their states: `probabilities` does both for every model.
        """
        sources = _as_list(images)
        states = known_states(self.checkpoint, known, len(sources))
        found, start = [np.empty((0, len(self.labels)), np.float32)], 0
        for pixels, reasons in decode_batches(sources, self.checkpoint.decoded_size, batch_size):
            for position, reason in enumerate(reasons):
                if reason is not None:
                    source = sources[start + position]
                    raise DataError(f"image {_name(source)} cannot be read: {reason}", path=source)
            rows = None if states is None else states[start : start + len(pixels)]
            found.append(self.compute_logits(pixels, rows))
            start += len(pixels)
        return np.concatenate(found)

    def compute_logits(
        self, pixels: NDArray[np.uint8], known: NDArray[np.int8] | None = None
    ) -> NDArray[np.float32]:
        """Compute logits of decoded images.

        Parameters
        ----------
        pixels
            RGB; uint8, shape (B, S, S, 3).
        known
            Label states that are known already; int8, shape (B, C).
        """
        module = self.module  # built outside: `explain` needs gradients through its weights
        given = None if known is None else torch.from_numpy(known).to(self.device)
        with torch.inference_mode():
            # heads that have no use for them ignore them
            found: torch.Tensor = module(self._preprocess(pixels), given)
        return found.float().cpu().numpy()

    def intervene(
        self, images: Images, states: Known, known: Known | None = None, batch_size: int = 32
    ) -> pd.DataFrame:
        """Compute how the probabilities change if some labels are said to be present or absent.

        Parameters
        ----------
        images
            As for `predict`.
        states
            What is said, as `known` of `predict`, such as ``{"fork": True}``.
        known
            What is known before; nothing by default.
        batch_size
            Images in a forward pass.

        Returns
        -------
        pandas.DataFrame
            One row for each image, and a column for each label with the difference of its
            calibrated probabilities, in [−1, 1]. The errors are those of `predict`.
        """
        import pandas as pd

        sources = _as_list(images)
        before = known_states(self.checkpoint, known, len(sources))
        said = known_states(self.checkpoint, states, len(sources))
        assert said is not None
        after = said if before is None else np.where(said >= 0, said, before)
        change = self.probabilities(sources, batch_size, after) - self.probabilities(
            sources, batch_size, before
        )
        return pd.DataFrame(change, columns=list(self.labels))

    def explain(
        self, image: str | ImageSource, label: str, min_cells: int = 7
    ) -> NDArray[np.float32]:
        """Compute where in an image the model sees evidence for a label.

        Parameters
        ----------
        image
            One image, as for `predict`.
        label
            Name of the label.
        min_cells
            Smallest number of cells along a side of the map, if a stage of the backbone has so
            many. Heads that attend to positions have the map of their attention instead.

        Returns
        -------
        numpy.ndarray
            Evidence of each cell, shape (h, w): positive for the label, negative against it.

        Raises
        ------
        CheckpointError
            If the backbone has tokens without a position in the image.
        DataError, LabelError
            If the image is unreadable, or the model does not know the label.
        """
        column = torch.tensor(self.checkpoint.space.indices([label]))
        ((pixels, (reason,)),) = decode_batches(
            [_as_source(image)], self.checkpoint.decoded_size, 1
        )
        if reason is not None:
            raise DataError(f"image {_name(image)} cannot be read: {reason}", path=image)
        inputs, first = self._preprocess(pixels), torch.zeros(1, dtype=torch.long)
        if hasattr(self.module.head, "attention"):
            found: torch.Tensor | None = attention_maps(self.module, inputs, first, column)
        else:
            found = class_activation(self.module, inputs, first, column, min_cells)
        if found is None:
            raise CheckpointError(
                f"{self.checkpoint.info.model.backbone} has tokens without a position in the "
                "image: its predictions cannot be mapped",
                name=self.checkpoint.info.name,
            )
        return found[0].float().cpu().numpy()

    def _preprocess(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        sent = torch.from_numpy(pixels).to(self.device)
        return preprocess_whole(sent, *self.checkpoint.input_spec)


def load_model(path: str | Path, device: str | torch.device | None = None) -> TrainedModel:
    """Load a trained model, ready to use.

    Parameters
    ----------
    path
        A checkpoint file, such as ``data/06_models/base/student.safetensors``.
    device
        Where it computes, such as ``"cpu"`` or ``"cuda:1"``; None takes a GPU if there is one.

    Raises
    ------
    CheckpointError
        If the file is no checkpoint of mlic, or its weights do not fit its description.
    DataError
        If the file is missing or damaged.
    """
    return TrainedModel(load_checkpoint(path), device)


def _as_list(images: Images) -> list[ImageSource]:
    """Sources of one image or of several; an array of four dimensions is several."""
    if isinstance(images, str | Path | bytes | Image.Image):
        return [_as_source(images)]
    if isinstance(images, np.ndarray) and images.ndim == 3:
        return [images]
    several: Iterable[str | ImageSource] = images
    return [_as_source(image) for image in several]


def _as_source(image: str | ImageSource) -> ImageSource:
    return Path(image) if isinstance(image, str) else image


def _name(image: str | ImageSource) -> str:
    return str(image) if isinstance(image, str | Path) else "in memory"
