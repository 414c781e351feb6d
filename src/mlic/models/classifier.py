"""Multi-label classifiers: a backbone and a head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from mlic.errors import ParameterError
from mlic.labels.context import LabelContext
from mlic.labels.embeddings import LabelEmbeddings
from mlic.models.backbone import build_backbone, build_trunk, normalisation, pool_features
from mlic.models.branch import BranchedClassifiers, BranchHead
from mlic.models.heads.base import Head
from mlic.models.options import HEADS, BranchedModelOptions, ModelOptions
from mlic.models.trunk import Trunk
from mlic.utils.plugins import build_plugin, find_plugin

__all__ = ["MultiLabelClassifier", "build_branch_head", "build_classifier", "build_classifiers"]


class MultiLabelClassifier(nn.Module):
    """A timm backbone and a head: from normalised images to one logit for each label."""

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(
        self,
        images: torch.Tensor,
        known: torch.Tensor | None = None,
        cut: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> Any:
        """Compute the logits; shape (B, C).

        Parameters
        ----------
        images
            Normalised images; shape (B, 3, H, W).
        known
            Label states that the head may use (1 present, 0 absent, −1 unknown); shape (B, C).
        cut
            Cuts the feature maps, shape (B, F, h, w), into further ones whose logits are computed
            too, without known states; the result is then a pair, images first.
        """
        features = self.backbone.forward_features(images)  # type: ignore[operator]
        logits = self._classify(features, known)
        return logits if cut is None else (logits, self._classify(cut(features), None))

    def _classify(self, features: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
        if self.head.pooled:
            features = pool_features(self.backbone, features)
        logits: torch.Tensor = self.head(features, known)
        return logits

    def fold(self) -> MultiLabelClassifier:
        """Make a classifier for inference alone, with the same logits; see `Head.fold`."""
        return MultiLabelClassifier(self.backbone, self.head.fold()).train(self.training)

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel that the backbone expects."""
        return normalisation(self.backbone)


def build_classifier(
    options: ModelOptions, context: LabelContext, load_weights: bool = True
) -> MultiLabelClassifier:
    """Build backbone and head.

    Parameters
    ----------
    options
        Architecture and initial weights.
    context
        The labels, one logit each, and what the head needs to know about them.
    load_weights
        Whether to load the backbone's weights. False where the weights of a checkpoint are loaded
        afterwards; label embeddings are then zeros of the right shape.

    Raises
    ------
    ParameterError
        If backbone or head refuse an option, or the context lacks what the head needs.
    CheckpointError
        If the backbone's weights cannot be loaded or do not fit.

    Examples
    --------
    >>> from mlic.labels import LabelSpace
    >>> context = LabelContext(LabelSpace(("cat", "dog", "sofa")))
    >>> model = build_classifier(ModelOptions(backbone="test_resnet"), context)
    >>> model(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 3])
    """
    backbone = build_backbone(options, load_weights)
    head = _build_head(options, backbone, context, load_weights)
    return MultiLabelClassifier(backbone, head)


def build_classifiers(
    options: BranchedModelOptions, contexts: Sequence[LabelContext], load_weights: bool = True
) -> BranchedClassifiers:
    """Build several classifiers on one trunk, one for each context; see `build_classifier`.

    Examples
    --------
    >>> from mlic.labels import LabelSpace
    >>> contexts = [LabelContext(LabelSpace(names)) for names in (("cat", "dog"), ("sofa",))]
    >>> model = build_classifiers(BranchedModelOptions(backbone="test_resnet", branch={}), contexts)
    >>> model(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 3])
    """
    # Trunk first, then the heads in order: the order decides the random initial weights.
    trunk = build_trunk(options, load_weights)
    heads = [build_branch_head(trunk, options, context, load_weights) for context in contexts]
    return BranchedClassifiers(trunk, heads, [context.num_labels for context in contexts])


def build_branch_head(
    trunk: Trunk, options: ModelOptions, context: LabelContext, load_weights: bool = True
) -> BranchHead:
    """Build a new branch on a trunk, and its head; see `build_classifier`."""
    branch = trunk.make_branch()  # before the head: the order decides the random initial weights
    head = _build_head(options, trunk, context, load_weights)
    return BranchHead(branch, head, trunk.pool)


def _build_head(
    options: ModelOptions, backbone: nn.Module, context: LabelContext, load_weights: bool
) -> Head:
    kind: type[Head] = find_plugin(HEADS, options.head)
    needs = kind.needs
    # timm's own pooling changes the number of channels in some backbones, such as MobileNetV3
    num_features = backbone.head_hidden_size if kind.pooled else backbone.num_features
    # copied, because the options are written into the checkpoint as they were given
    head_options: dict[str, Any] = dict(options.head_options)
    if "embeddings" in needs:
        context = _with_embeddings(options, context, load_weights)
        head_options.setdefault("label_dim", options.embeddings.dimension)
    elif options.embeddings.source != "learned":
        raise ParameterError(
            f"model.embeddings.source='{options.embeddings.source}': the head '{options.head}' "
            "takes no label embeddings; leave model.embeddings out, or choose another head",
            parameter="model.embeddings.source",
        )
    # a restored checkpoint holds what the head computed from the other members
    missing = [name for name in sorted(needs - {"embeddings"}) if getattr(context, name) is None]
    if missing and load_weights:
        raise ParameterError(
            f"the head '{options.head}' needs the labels' {missing[0]}: give it in the context",
            parameter="model.head",
        )
    head: Head = build_plugin(HEADS, options.head, head_options, num_features, context)
    return head


def _with_embeddings(
    options: ModelOptions, context: LabelContext, load_weights: bool
) -> LabelContext:
    """Context with the embeddings that the options ask for, of the right shape."""
    chosen = options.embeddings
    shape = (context.num_labels, chosen.dimension)
    if chosen.source == "learned":
        return replace(context, embeddings=None)
    # by name: the given vectors may be those of more labels, in another order
    given = context.embeddings and context.embeddings.subset(context.space)
    if given is None and not load_weights:
        # a checkpoint holds the vectors themselves; only their shape is needed here
        zeros = LabelEmbeddings(context.space, np.zeros(shape, np.float32), chosen.source)
        return replace(context, embeddings=zeros)
    if given is None or given.vectors.shape != shape:
        found = "none are given" if given is None else f"those given have {given.vectors.shape}"
        raise ParameterError(
            f"model.embeddings.source='{chosen.source}' needs vectors of shape {shape}, but "
            f"{found}: run the label_statistics pipeline again",
            parameter="model.embeddings.source",
        )
    return context
