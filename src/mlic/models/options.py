"""What a person may say about the model."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mlic.plugins import refuse_unknown_plugin

__all__ = ["HEADS", "ModelOptions"]

HEADS = "mlic.models.heads"


class ModelOptions(BaseModel):
    """Architecture and starting weights of every model of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str = Field(description="name of a timm model")
    backbone_options: dict[str, Any] = Field(
        default_factory=dict, description="passed to timm.create_model"
    )
    weights: str | None = Field(
        default=None,
        description="'pretrained' (timm fetches them), the path of a safetensors file, or nothing",
    )
    head: str = Field(default="linear", description="a module of mlic.models.heads")
    head_options: dict[str, Any] = Field(default_factory=dict, description="passed to the head")

    @field_validator("head")
    @classmethod
    def _known_head(cls, name: str) -> str:
        refuse_unknown_plugin(HEADS, name)
        return name
