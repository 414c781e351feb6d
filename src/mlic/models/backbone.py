"""timm backbones without classifier, with the weights that the options name."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from mlic.errors import CheckpointError, ParameterError
from mlic.models.branch import BranchedBackbone
from mlic.models.options import BranchedModelOptions, ModelOptions
from mlic.models.torchvision_shim import allow_torchvision_without_cuda
from mlic.models.trunk import Trunk
from mlic.utils.suggestions import did_you_mean

__all__ = ["build_backbone", "build_trunk", "normalisation", "pool_features"]

Backbone = Any  # timm's models have common methods, but no common base class


def build_backbone(options: ModelOptions, load_weights: bool = True) -> Backbone:
    """Build a timm backbone with ``forward_features`` and ``forward_head``, without classifier.

    It is made of a trunk and a branch if the options have one.

    Raises
    ------
    ParameterError
        If timm does not know the name or refuses an option, or a part to freeze does not exist.
    CheckpointError
        If the weights cannot be loaded or do not fit.
    """
    if isinstance(options, BranchedModelOptions):
        return BranchedBackbone(build_trunk(options, load_weights))
    return _build_timm(options, load_weights)


def build_trunk(options: BranchedModelOptions, load_weights: bool = True) -> Trunk:
    """Build the layers that branches share; see `build_backbone`."""
    return Trunk(_build_timm(options, load_weights), options.branch)


def _build_timm(options: ModelOptions, load_weights: bool) -> Backbone:
    allow_torchvision_without_cuda()  # before timm imports torchvision
    import timm

    # its own handler would print every message a second time
    logging.getLogger("huggingface_hub").handlers.clear()
    fetch = load_weights and options.weights == "pretrained"
    try:
        model = timm.create_model(
            options.backbone, pretrained=fetch, num_classes=0, **options.backbone_options
        )
    except (RuntimeError, TypeError) as error:
        # timm raises the same type for an unknown name and for a model without pretrained weights
        if fetch and timm.is_model(options.backbone):
            raise _not_fetched(options.backbone, error) from error
        hint = did_you_mean(options.backbone, timm.list_models())
        raise ParameterError(
            f"model.backbone='{options.backbone}' with options {options.backbone_options} cannot "
            f"be built by timm: {error}; {hint}timm.list_models() lists the names",
            parameter="model.backbone",
            value=options.backbone,
        ) from error
    except OSError as error:  # the hub cannot be reached
        raise _not_fetched(options.backbone, error) from error
    if load_weights and options.weights and not fetch:
        _load_file(model, Path(options.weights))
    return _freeze(model, options)


def _freeze(model: Backbone, options: ModelOptions) -> Backbone:
    """Freeze parts; their batch norms then use and keep their loaded statistics."""
    from timm.layers import freeze_batch_norm_2d
    from timm.utils import freeze

    for name in options.frozen:
        try:
            freeze(model, [name])
        except AttributeError as error:
            parts = ", ".join(child for child, _ in model.named_children())
            raise ParameterError(
                f"model.frozen: '{options.backbone}' has no part '{name}'; its parts are {parts}",
                parameter="model.frozen",
                value=name,
            ) from error
    return freeze_batch_norm_2d(model) if options.freeze_batch_norm else model


def _not_fetched(backbone: str, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"pretrained weights of '{backbone}' cannot be downloaded ({error}): "
        "give the path of a safetensors file as model.weights, or set model.weights=null",
        name=backbone,
    )


def _load_file(model: Backbone, path: Path) -> None:
    """Load a safetensors file with timm's names; only the weights of a classifier may be unused."""
    if not path.is_file():
        raise CheckpointError(f"model.weights: there is no file {path}; correct the path")
    try:
        weights = load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"model.weights: {path} is no safetensors file ({error})") from error
    # load_state_dict would name every such weight in one long message
    wrong_shape = [
        name
        for name, value in model.state_dict().items()
        if name in weights and weights[name].shape != value.shape
    ]
    if wrong_shape:
        raise CheckpointError(
            f"model.weights: {path} does not fit this backbone: '{wrong_shape[0]}' has another "
            "shape; choose the backbone (and its options) that the file was made for"
        )
    # not strict, because the file may hold the classifier of its own training
    result = model.load_state_dict(weights, strict=False)
    # Old files lack this counter, which only batch norms without a momentum read.
    missing = [name for name in result.missing_keys if not name.endswith("num_batches_tracked")]
    classifier = model.pretrained_cfg.get("classifier") or "classifier"
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    prefixes = tuple(f"{name}." for name in names)
    surplus = [name for name in result.unexpected_keys if not name.startswith(prefixes)]
    if missing or surplus:
        first = f"lacks '{missing[0]}'" if missing else f"has '{surplus[0]}' that the model lacks"
        raise CheckpointError(f"model.weights: {path} does not fit this backbone: it {first}")


def normalisation(backbone: Backbone) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel that a backbone expects, for pixels in [0, 1]."""
    config = backbone.pretrained_cfg
    return tuple(config["mean"]), tuple(config["std"])


def pool_features(backbone: Backbone, features: torch.Tensor) -> torch.Tensor:
    """Pool features as for timm's own classifier; shape (B, head_hidden_size)."""
    # more than a mean for some backbones: timm's heads may have norms and projections
    pooled: torch.Tensor = backbone.forward_head(features, pre_logits=True)
    return pooled
