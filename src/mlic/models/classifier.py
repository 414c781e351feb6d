"""A backbone and a head as one model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mlic.errors import ParameterError
from mlic.models.backbone import build_backbone, build_trunk, normalisation, out_of_the_head
from mlic.models.branch import BranchedClassifiers, UpperModel
from mlic.models.options import HEADS
from mlic.utils.plugins import build_plugin, find_plugin

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mlic.models.branch import Trunk
    from mlic.models.options import BranchedModelOptions, ModelOptions

__all__ = ["MultiLabelClassifier", "build_classifier", "build_classifiers", "build_upper"]


class MultiLabelClassifier(nn.Module):
    """From normalised images to one logit a label.

    Parameters
    ----------
    backbone
        A timm model without classifier.
    head
        One of `mlic.models.heads`.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Logits.

        Parameters
        ----------
        images
            Normalised images; shape (B, 3, H, W).
        known
            Label states already known (1, 0, −1); shape (B, C). Heads may ignore them.

        Returns
        -------
        torch.Tensor
            Shape (B, C).
        """
        features = self.backbone.forward_features(images)  # type: ignore[operator]
        if self.head.pooled:
            features = out_of_the_head(self.backbone, features)
        logits: torch.Tensor = self.head(features, known)
        return logits

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation the backbone expects."""
        return normalisation(self.backbone)


def build_classifier(
    options: ModelOptions,
    num_labels: int,
    load_weights: bool = True,
    embeddings: NDArray[np.float32] | None = None,
) -> MultiLabelClassifier:
    """Build backbone and head from options.

    Parameters
    ----------
    options
        Architecture and starting weights.
    num_labels
        Number of logits.
    load_weights
        False where a checkpoint's own weights follow, label embeddings among them.
    embeddings
        Vectors of the labels, for a head that takes them, unless they are learned; shape
        (num_labels, d).

    Raises
    ------
    ParameterError
        If backbone or head refuse an option, or the label embeddings are not those asked for.
    CheckpointError
        If the backbone's weights cannot be had or do not fit.

    Examples
    --------
    >>> from mlic.models.options import ModelOptions
    >>> model = build_classifier(ModelOptions(backbone="test_resnet"), num_labels=3)
    >>> model(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 3])
    """
    backbone = build_backbone(options, load_weights)
    width = backbone.head_hidden_size
    return MultiLabelClassifier(
        backbone, _build_head(options, width, num_labels, load_weights, embeddings)
    )


def build_classifiers(
    options: BranchedModelOptions,
    num_labels: Sequence[int],
    load_weights: bool = True,
    embeddings: Sequence[NDArray[np.float32] | None] | None = None,
) -> BranchedClassifiers:
    """Build several classifiers on one trunk; arguments and errors are as `build_classifier`'s.

    Examples
    --------
    >>> from mlic.models.options import BranchedModelOptions
    >>> model = build_classifiers(BranchedModelOptions(backbone="test_resnet", branch={}), [3, 2])
    >>> model(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 5])
    """
    trunk = build_trunk(options, load_weights)
    vectors = embeddings or [None] * len(num_labels)
    uppers = [
        build_upper(trunk, options, number, load_weights, own)
        for number, own in zip(num_labels, vectors, strict=True)
    ]
    return BranchedClassifiers(trunk, uppers)


def build_upper(
    trunk: Trunk,
    options: ModelOptions,
    num_labels: int,
    load_weights: bool = True,
    embeddings: NDArray[np.float32] | None = None,
) -> UpperModel:
    """Build a new branch of a trunk and its head; the rest as in `build_classifier`."""
    branch, width = trunk.grow(), trunk.head_hidden_size
    head = _build_head(options, width, num_labels, load_weights, embeddings)
    return UpperModel(branch, head, trunk.pool)


def _build_head(
    options: ModelOptions,
    width: int,
    num_labels: int,
    load_weights: bool,
    embeddings: NDArray[np.float32] | None,
) -> nn.Module:
    arguments: list[Any] = [width, num_labels]
    if getattr(find_plugin(HEADS, options.head), "embedded", False):
        arguments.append(_embed(options, num_labels, load_weights, embeddings))
    elif options.embeddings.source != "learned":
        raise ParameterError(
            f"model.embeddings.source='{options.embeddings.source}': the head '{options.head}' "
            "takes no label embeddings; leave model.embeddings out, or choose another head"
        )
    head: nn.Module = build_plugin(HEADS, options.head, options.head_options, *arguments)
    return head


def _embed(
    options: ModelOptions,
    num_labels: int,
    load_weights: bool,
    vectors: NDArray[np.float32] | None,
) -> nn.Embedding:
    """Random rows to be learnt, or the given ones, frozen."""
    chosen = options.embeddings
    shape = (num_labels, chosen.dimension)
    if chosen.source == "learned":
        return nn.Embedding(*shape)
    if vectors is None and not load_weights:
        return _fixed(torch.zeros(shape))
    if vectors is None or vectors.shape != shape:
        found = "none are given" if vectors is None else f"those given are of {vectors.shape}"
        raise ParameterError(
            f"model.embeddings.source='{chosen.source}' needs vectors of shape {shape}, but "
            f"{found}: run the label_statistics pipeline again"
        )
    return _fixed(torch.tensor(vectors))


def _fixed(rows: torch.Tensor) -> nn.Embedding:
    embedding = nn.Embedding(rows.shape[0], rows.shape[1], _weight=rows)
    return embedding.requires_grad_(False)
