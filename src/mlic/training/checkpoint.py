"""Checkpoints: weights and everything needed to use them, in one file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from mlic.caching.fingerprint import fingerprint_parts
from mlic.caching.tensors import load_tensors
from mlic.errors import CheckpointError
from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.models.input_spec import InputSpec
from mlic.models.options import BranchedModelOptions, ModelOptions
from mlic.training.calibration import Calibration
from mlic.training.options import Choice
from mlic.utils.reading import one_line
from mlic.utils.strict_model import StrictModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlic.models.classifier import MultiLabelClassifier

__all__ = ["Averaging", "Checkpoint", "CheckpointInfo", "load_checkpoint"]


def _library_versions() -> dict[str, str]:
    """Versions of the libraries that the weights depend on."""
    return {name: version(name) for name in ("mlic", "torch", "torchvision", "timm")}


def _describe(error: KeyError | ValidationError) -> str:
    """Return the first mistake in one line."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    first = error.errors()[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))


class Averaging(StrictModel):
    """How the weights of a student were averaged with those of the baseline."""

    share: float = Field(description="share of the student's weights; 1: it was not averaged")
    images: int = Field(description="training images that the batch norms were estimated on")
    barrier: float = Field(
        description="validation mAP of the two models on average, minus that of their mean; above "
        "0, nothing is averaged"
    )
    validation_maps: dict[float, float] = Field(
        description="validation mAP by share, in [0, 1]; 0 is the baseline, 1 the student"
    )
    baseline: str = Field(description="fingerprint of the baseline")
    student: str = Field(description="fingerprint of the student before")


class CheckpointInfo(StrictModel):
    """Description of a checkpoint: everything but the weights."""

    name: str = Field(description="baseline, student or teachers.<strategy>_<part>")
    role: str
    labels: tuple[str, ...] = Field(description="labels of the logits, in order")
    label_fingerprint: str
    model: BranchedModelOptions | ModelOptions
    image_size: int = Field(description="side of the square input, pixels")
    decoded_size: int | None = Field(
        default=None,
        description="side to which images were decoded before the model's input was made of them, "
        "pixels; null: image_size",
    )
    mean: tuple[float, ...] = Field(description="mean of each channel, for pixels in [0, 1]")
    std: tuple[float, ...] = Field(description="standard deviation of each channel")
    components: dict[str, Any] = Field(
        description="what decides the weights: fingerprints of data, labels and partition, "
        "parameters, seed, code version"
    )
    versions: dict[str, str] = Field(default_factory=_library_versions)
    epoch: int = Field(description="epoch of the weights, from 1")
    averaged: bool = Field(description="whether they are the averaged (EMA) weights")
    validation_map: float | None = Field(description="mAP on the validation split, in [0, 1]")
    seconds: float = Field(description="wall time of the training, in seconds")
    history: list[dict[str, float]] = Field(description="figures of every epoch")
    averaging: Averaging | None = Field(
        default=None, description="average with the baseline's weights; null: none was asked for"
    )
    calibration: Calibration | None = Field(
        default=None, description="calibrated probabilities and thresholds; null before calibration"
    )


@dataclass(frozen=True)
class Checkpoint:
    """Weights with their description.

    Parameters
    ----------
    weights
        Parameters and buffers by name.
    info
        The description.
    """

    weights: dict[str, NDArray[Any]]
    info: CheckpointInfo

    @property
    def space(self) -> LabelSpace:
        """Labels of the logits, in order."""
        return LabelSpace(self.info.labels)

    @property
    def input_spec(self) -> InputSpec:
        """Size and normalisation of the model's input."""
        return InputSpec(self.info.image_size, self.info.mean, self.info.std)

    @property
    def decoded_size(self) -> int:
        """Side to which images are decoded before they are resized to the input, in pixels."""
        return self.info.decoded_size or self.info.image_size

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that identify labels and weights."""
        # sorted, because the order of the names in a file is not part of the weights
        named: chain[Any] = chain.from_iterable(sorted(self.weights.items()))
        return fingerprint_parts(self.info.label_fingerprint, *named)

    @property
    def calibration(self) -> Calibration:
        """Calibrated probabilities and thresholds.

        Before the calibration, these are the link of the training's loss and thresholds of 0.5. A
        checkpoint that does not name its loss is a `CheckpointError`.
        """
        if self.info.calibration is not None:
            return self.info.calibration
        loss = self.info.components.get("training", {}).get("loss")
        if loss is None:
            raise CheckpointError(
                f"checkpoint '{self.info.name}' does not say which loss it was trained with, so "
                "that its logits mean no probability: calibrate it with mlic.calibrate",
                name=self.info.name,
            )
        return Calibration.unfitted(Choice.model_validate(loss), len(self.info.labels))

    def with_calibration(self, calibration: Calibration) -> Checkpoint:
        """Copy the checkpoint with another calibration; the weights are shared."""
        return replace(self, info=self.info.model_copy(update={"calibration": calibration}))

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        """Weights and metadata as a safetensors file holds them."""
        return self.weights, {"info": self.info.model_dump_json()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], metadata: Mapping[str, str]) -> Self:
        """Restore what `to_tensors` returned; a bad description is a `CheckpointError`."""
        try:
            info = CheckpointInfo.model_validate_json(metadata["info"])
        except (KeyError, ValidationError) as error:
            raise CheckpointError(
                "this file is no mlic checkpoint, or was made by another version "
                f"({_describe(error)}): train the model again"
            ) from error
        # otherwise the logits would be assigned to other labels
        if LabelSpace(info.labels).fingerprint != info.label_fingerprint:
            raise CheckpointError(
                "the checkpoint's labels do not match its own fingerprint: train the model again"
            )
        return cls(dict(tensors), info)

    def build(self) -> MultiLabelClassifier:
        """Build the model and load its weights; the checkpoint alone is enough.

        Raises
        ------
        CheckpointError
            If the weights do not fit the described architecture.
        """
        # imported here, because loading and saving a checkpoint needs no torch
        import torch

        from mlic.models.classifier import build_classifier

        # Given label embeddings are among the weights, so the names of the labels suffice.
        context = LabelContext(self.space)
        model = build_classifier(self.info.model, context, load_weights=False)
        state = {name: torch.from_numpy(np.array(value)) for name, value in self.weights.items()}
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise CheckpointError(
                f"checkpoint '{self.info.name}' does not fit {self.info.model.backbone} "
                f"({one_line(error)}); it was made with {self.info.versions}",
                name=self.info.name,
            ) from error
        return model.eval()


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint file.

    Parameters
    ----------
    path
        The ``.safetensors`` file of a finished training, such as
        ``data/06_models/base/student.safetensors``.

    Raises
    ------
    CheckpointError
        If the file is no checkpoint of mlic.
    DataError
        If the file is missing or damaged.
    """
    return Checkpoint.from_tensors(*load_tensors(Path(path)))
