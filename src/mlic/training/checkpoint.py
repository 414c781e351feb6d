"""A checkpoint describes itself: weights and all that is needed to use them, in one file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from mlic.errors import CheckpointError
from mlic.labels import LabelSpace
from mlic.models.options import BranchedModelOptions, ModelOptions
from mlic.utils.strict_model import StrictModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlic.models.classifier import MultiLabelClassifier

__all__ = ["Checkpoint", "CheckpointInfo", "library_versions"]


def library_versions() -> dict[str, str]:
    """Versions of what makes weights what they are."""
    return {name: version(name) for name in ("mlic", "torch", "torchvision", "timm")}


class CheckpointInfo(StrictModel):
    """Everything about a checkpoint but its weights."""

    name: str = Field(description="baseline, student or teachers.<strategy>_<part>")
    role: str
    labels: tuple[str, ...] = Field(description="names of the logits, in order")
    label_fingerprint: str
    model: BranchedModelOptions | ModelOptions
    image_size: int = Field(description="side of the square input, pixels")
    mean: tuple[float, ...] = Field(description="a channel, of pixels in [0, 1]")
    std: tuple[float, ...]
    components: dict[str, Any] = Field(
        description="what the weights were made from: fingerprints of data, labels and partition, "
        "parameters, seed, code"
    )
    versions: dict[str, str] = Field(default_factory=library_versions)
    epoch: int = Field(description="epoch whose weights these are, from 1")
    averaged: bool = Field(description="whether these are the averaged (EMA) weights")
    validation_map: float | None = Field(description="mAP on validation, in [0, 1]")
    seconds: float = Field(description="wall time of the training")
    history: list[dict[str, float]] = Field(description="figures of every epoch")


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
        """The labels of the logits, in order."""
        return LabelSpace(self.info.labels)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits over labels and weights."""
        digest = hashlib.sha256(self.info.label_fingerprint.encode())
        for name in sorted(self.weights):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.weights[name]).tobytes())
        return digest.hexdigest()[:16]

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        """Weights and metadata as a safetensors file holds them."""
        return self.weights, {"info": self.info.model_dump_json()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], metadata: Mapping[str, str]) -> Self:
        """Read back what `to_tensors` wrote.

        Raises
        ------
        CheckpointError
            If the description is missing, incomplete, or contradicts itself.
        """
        try:
            info = CheckpointInfo.model_validate_json(metadata["info"])
        except (KeyError, ValidationError) as error:
            raise CheckpointError(
                f"this file is no mlic checkpoint, or one of another version ({error}); train anew"
            ) from error
        if LabelSpace(info.labels).fingerprint != info.label_fingerprint:
            raise CheckpointError("the checkpoint's labels do not match its own fingerprint")
        return cls(dict(tensors), info)

    def build(self) -> MultiLabelClassifier:
        """Build the model and load the weights, from nothing but this checkpoint.

        Raises
        ------
        CheckpointError
            If the weights do not fit the architecture they name.
        """
        import torch

        from mlic.models.classifier import build_classifier

        model = build_classifier(self.info.model, len(self.info.labels), load_weights=False)
        state = {name: torch.from_numpy(np.array(value)) for name, value in self.weights.items()}
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise CheckpointError(
                f"checkpoint '{self.info.name}' does not fit {self.info.model.backbone} "
                f"({error}); it was made with {self.info.versions}"
            ) from error
        return model.eval()
