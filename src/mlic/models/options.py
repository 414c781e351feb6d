"""Model configuration."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from mlic.labels.options import EmbeddingOptions
from mlic.utils.plugins import refuse_unknown_plugin
from mlic.utils.strict_model import StrictModel

__all__ = ["HEADS", "BranchOptions", "BranchedModelOptions", "ModelOptions"]

HEADS = "mlic.models.heads"


class ModelOptions(StrictModel):
    """Architecture and initial weights of every model of a run."""

    backbone: str = Field(description="name of a timm model")
    backbone_options: dict[str, Any] = Field(
        default_factory=dict, description="passed to timm.create_model"
    )
    weights: str | None = Field(
        default=None,
        description="'pretrained' (timm downloads them), the path of a safetensors file, or null: "
        "random weights",
    )
    # PSD's Query2Label models freeze conv1 and layer1, and all batch norms
    frozen: tuple[str, ...] = Field(
        default=(), description="parts of the backbone whose loaded weights are not trained"
    )
    freeze_batch_norm: bool = Field(
        default=False, description="whether no batch norm of the backbone is trained or updated"
    )
    head: str = Field(default="linear", description="a module of mlic.models.heads")
    head_options: dict[str, Any] = Field(default_factory=dict, description="passed to the head")
    embeddings: EmbeddingOptions = Field(
        default=EmbeddingOptions(), description="label embeddings, for heads that use them"
    )

    @field_validator("head")
    @classmethod
    def _known_head(cls, name: str) -> str:
        refuse_unknown_plugin(HEADS, name)
        return name

    # random weights that are never trained would be of no use
    @model_validator(mode="after")
    def _check_frozen_weights(self) -> Self:
        if (self.frozen or self.freeze_batch_norm) and self.weights is None:
            raise ValueError("frozen and freeze_batch_norm need loaded weights: set weights")
        return self


class BranchOptions(StrictModel):
    """Branches of teachers that share a trunk: where they begin, and how wide they are."""

    after: int = Field(
        default=-1,
        description="last shared stage, counted in timm's feature_info; -1: the whole backbone is "
        "shared, and a residual branch follows",
    )
    width: int | None = Field(
        default=None,
        ge=1,
        description="channels of the branch's bottleneck; null: a 32nd of the trunk's, at least 16",
    )


class BranchedModelOptions(ModelOptions):
    """Model that consists of a shared trunk and a branch of its own."""

    branch: BranchOptions
