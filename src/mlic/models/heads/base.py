"""Base class of heads, and what heads on feature maps share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import nn

from mlic.errors import ParameterError
from mlic.labels.context import LabelContext

__all__ = [
    "Head",
    "flatten_map",
    "image_tokens",
    "make_label_embedding",
    "map_attention",
    "require_sizes",
    "token_grid",
]


class Head(nn.Module, ABC):
    """Maps image features to one logit for each label.

    A head is the one public class of a module in `mlic.models.heads`, and the name of the module is
    the name of the head. It is built as ``Head(num_features, context, **options)``. A `ValueError`
    for a wrong option becomes a `ParameterError` that names the head and its options.

    Attributes
    ----------
    pooled
        Whether the head takes pooled features of shape (B, F), as timm's own classifiers do, or the
        backbone's features as they are: a feature map of shape (B, F, H, W), or what
        `image_tokens` accepts.
    needs
        Members of the label context that the head uses: ``{"embeddings"}``, ``{"graph"}`` …
        The training nodes load only what is named here, and its fingerprint is part of the
        training's.
    uses_known
        Whether the head reads the label states that are already known.
    """

    pooled: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset()
    uses_known: ClassVar[bool] = False

    @abstractmethod
    def forward(self, features: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Compute the logits; shape (B, C).

        Parameters
        ----------
        features
            Shape (B, F) if the head is `pooled`, else (B, F, H, W).
        known
            Label states that the model may use: 1 present, 0 absent, −1 unknown; shape (B, C).
            Heads that have no use for them ignore them.
        """

    def fold(self) -> Head:
        """Make a head for inference alone, which gives the same logits at less cost, or self.

        A checkpoint holds the weights of the head that was trained, never of a folded one.
        """
        return self


def make_label_embedding(context: LabelContext, label_dim: int) -> nn.Embedding:
    """Make the embedding layer of the labels, one row for each label.

    Embeddings in the context become the rows and are not trained. Without them, the rows are
    random, of length `label_dim`, and trained.
    """
    if context.embeddings is None:
        return nn.Embedding(context.num_labels, label_dim)
    rows = torch.tensor(context.embeddings.subset(context.space).vectors)
    # given at construction, so that no random rows are drawn in vain
    embedding = nn.Embedding(rows.shape[0], rows.shape[1], _weight=rows)
    return embedding.requires_grad_(False)


def require_sizes(*, heads: int, width: int, dropout: float, **sizes: int) -> None:
    """Check the options of an attention head; a `ValueError` names the first wrong one."""
    for name, value in {"heads": heads, "width": width, **sizes}.items():
        # type(), not isinstance(): True is an int as well
        if type(value) is not int or value < 1:
            raise ValueError(f"{name}={value!r} must be a whole number above 0")
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout!r} must be a number from 0 to below 1")
    if width % heads:
        raise ValueError(f"width={width} must be a multiple of heads={heads}")


def flatten_map(features: torch.Tensor, num_features: int) -> torch.Tensor:
    """Turn a map of shape (B, F, H, W) into tokens of shape (B, H · W, F), row by row.

    Features that are no map with `num_features` channels first are a `ParameterError`.
    """
    # some backbones of timm, such as Swin, put the channels last, others give tokens
    if features.ndim != 4 or features.shape[1] != num_features:
        raise ParameterError(
            f"model.head: the head needs a feature map of shape (batch, {num_features}, height, "
            f"width), but the backbone gives {tuple(features.shape)}; choose a convolutional "
            "backbone, or head: linear",
            parameter="model.head",
        )
    return features.flatten(2).transpose(1, 2)


def image_tokens(features: torch.Tensor, num_features: int) -> torch.Tensor:
    """Turn the features of any backbone into tokens of shape (B, N, F).

    Parameters
    ----------
    features
        A map with channels first, (B, F, H, W), or last, (B, H, W, F), whose positions become
        tokens row by row; or tokens, (B, N, F), as vision transformers give them.
    num_features
        Channels F.

    Raises
    ------
    ParameterError
        If the features have another number of channels.

    Examples
    --------
    >>> [image_tokens(torch.zeros(shape), 8).shape[1] for shape in ((2, 8, 3, 3), (2, 10, 8))]
    [9, 10]
    """
    if features.ndim == 4 and features.shape[1] == num_features:
        return features.flatten(2).transpose(1, 2)
    if features.ndim in (3, 4) and features.shape[-1] == num_features:
        return features.flatten(1, -2)
    raise ParameterError(
        f"model.head: the head needs features with {num_features} channels, but the backbone "
        f"gives {tuple(features.shape)}; choose another backbone",
        parameter="model.head",
    )


def token_grid(features: torch.Tensor, num_features: int) -> tuple[int, torch.Size]:
    """Number of tokens before those of positions, and height and width of the positions.

    Features are those of `image_tokens`. Tokens are taken for a square of positions, after the
    class and register tokens of a vision transformer.

    Examples
    --------
    >>> token_grid(torch.zeros(2, 197, 8), 8)
    (1, torch.Size([14, 14]))
    """
    if features.ndim == 4:
        first = 2 if features.shape[1] == num_features else 1
        return 0, features.shape[first : first + 2]
    side = math.isqrt(features.shape[1])
    return features.shape[1] - side * side, torch.Size((side, side))


def map_attention(
    attention: nn.MultiheadAttention,
    labels: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    sides: torch.Size,
    skip: int = 0,
) -> torch.Tensor:
    """Compute how strongly each label's token attends to each location; shape (B, C, H, W).

    The result is the mean over the attention heads, in [0, 1]. Queries are the labels, shape
    (B, C, width); keys and values are `skip` tokens, the locations row by row, and any other
    tokens, shape (B, skip + H · W + …, width). `sides` are H and W.
    """
    # tokens after the locations, such as labels, are cut off
    _, weights = attention(labels, keys, values)
    return torch.unflatten(weights[..., skip : skip + sides.numel()], 2, sides)
