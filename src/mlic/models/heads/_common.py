"""What heads on feature maps share: checks, places as tokens, and maps of what labels look at."""

from __future__ import annotations

import torch
from torch import nn

from mlic.errors import ParameterError

__all__ = ["flatten_map", "map_attention", "require_sizes"]


def require_sizes(*, heads: int, width: int, dropout: float, **sizes: int) -> None:
    """Check the options of an attention head.

    Raises
    ------
    ValueError
        Naming the first option that is of another type or out of range; `mlic.utils.plugins` adds
        the name of the head.
    """
    for name, value in {"heads": heads, "width": width, **sizes}.items():
        if type(value) is not int or value < 1:  # True is an int as well
            raise ValueError(f"{name}={value!r} must be a whole number above 0")
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout!r} must be a number from 0 to below 1")
    if width % heads:
        raise ValueError(f"width={width} must be a multiple of heads={heads}")


def flatten_map(features: torch.Tensor, num_features: int) -> torch.Tensor:
    """Places of a feature map as tokens, row by row.

    Parameters
    ----------
    features
        Unpooled features; shape (B, F, H, W).
    num_features
        The F expected.

    Returns
    -------
    torch.Tensor
        Shape (B, H · W, F).

    Raises
    ------
    ParameterError
        If the backbone gives something else than a map with channels first.
    """
    if features.ndim != 4 or features.shape[1] != num_features:
        raise ParameterError(
            f"model.head: it needs a feature map of shape (batch, {num_features}, height, width), "
            f"but the backbone gives {tuple(features.shape)}; choose a convolutional backbone, "
            "or head: linear"
        )
    return features.flatten(2).transpose(1, 2)


def map_attention(
    attention: nn.MultiheadAttention,
    labels: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    sides: torch.Size,
) -> torch.Tensor:
    """How much each label's token looks at each place.

    Parameters
    ----------
    attention
        That of a layer, batch first.
    labels
        What it is asked; shape (B, C, width).
    keys, values
        What it compares, and passes on: the places row by row, then anything; shape
        (B, H · W + …, width).
    sides
        Height and width of the feature map.

    Returns
    -------
    torch.Tensor
        Mean over attention heads, in [0, 1]; shape (B, C, H, W).
    """
    _, looks = attention(labels, keys, values)
    return torch.unflatten(looks[..., : sides.numel()], 2, sides)
