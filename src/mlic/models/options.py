"""What a person may say about the model."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from mlic.labels.options import EmbeddingOptions
from mlic.utils.plugins import refuse_unknown_plugin
from mlic.utils.strict_model import StrictModel

__all__ = ["HEADS", "BranchOptions", "BranchedModelOptions", "ModelOptions"]

HEADS = "mlic.models.heads"


class ModelOptions(StrictModel):
    """Architecture and starting weights of every model of a run."""

    backbone: str = Field(description="name of a timm model")
    backbone_options: dict[str, Any] = Field(
        default_factory=dict, description="passed to timm.create_model"
    )
    weights: str | None = Field(
        default=None,
        description="'pretrained' (timm fetches them), the path of a safetensors file, or nothing",
    )
    frozen: tuple[str, ...] = Field(
        default=(), description="parts of the backbone that keep their loaded weights"
    )
    freeze_batch_norm: bool = Field(
        default=False, description="keep the loaded batch norms of the whole backbone"
    )
    head: str = Field(default="linear", description="a module of mlic.models.heads")
    head_options: dict[str, Any] = Field(default_factory=dict, description="passed to the head")
    embeddings: EmbeddingOptions = Field(
        default=EmbeddingOptions(), description="of the labels, for heads that take them"
    )

    @field_validator("head")
    @classmethod
    def _known_head(cls, name: str) -> str:
        refuse_unknown_plugin(HEADS, name)
        return name

    @model_validator(mode="after")
    def _nothing_random_frozen(self) -> Self:
        if (self.frozen or self.freeze_batch_norm) and self.weights is None:
            raise ValueError("frozen and freeze_batch_norm would keep random weights: give weights")
        return self


class BranchOptions(StrictModel):
    """Where teachers on one trunk part ways, and what each has of its own."""

    after: int = Field(
        default=-1,
        description="last shared stage, of timm's feature_info; -1: the whole backbone is shared, "
        "and a residual branch follows",
    )
    width: int | None = Field(
        default=None,
        ge=1,
        description="channels of the branch's bottleneck; nothing: a 32nd of the trunk's, or 16",
    )


class BranchedModelOptions(ModelOptions):
    """A model of shared lower layers and a branch of its own."""

    branch: BranchOptions
