"""Batch norm over the images of all processes of a training."""

from __future__ import annotations

from typing import Any

import torch
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["CpuSyncBatchNorm", "synchronise_norms"]


def synchronise_norms(model: nn.Module, device: torch.device) -> None:
    """Replace all batch norms inside a model by synchronised ones with the same weights.

    Mean and variance are then those of the batches of all processes of a training together, so that
    a batch that is divided gives what the whole batch gives in one process, to rounding. Names of
    weights do not change. On a GPU the norms are PyTorch's, which has none for the CPU.
    """
    from timm.layers import convert_sync_batchnorm

    if device.type != "cpu":
        convert_sync_batchnorm(model)
        return
    for name, child in list(model.named_children()):
        if isinstance(child, _BatchNorm):
            model.add_module(name, CpuSyncBatchNorm(child))
        else:
            synchronise_norms(child, device)


class CpuSyncBatchNorm(_BatchNorm):
    """Synchronised batch norm on the CPU; parts of a batch may differ in size, or be empty.

    Parameters
    ----------
    norm
        The batch norm to replace, of which it takes parameters and buffers; of timm's combinations
        also dropout and activation.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__(
            norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
        )
        self._parameters, self._buffers = norm._parameters, norm._buffers
        self.after = nn.Sequential(*norm.children())
        self.train(norm.training)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Normalise features of shape (B, F, …)."""
        if self.training and distributed.is_initialized():
            found = self._normalise(features.float()).to(features.dtype)
        else:
            found = super().forward(features)
        normalised: torch.Tensor = self.after(found)
        return normalised

    def _check_input_dim(self, input: torch.Tensor) -> None:
        """Accept any number of dimensions."""

    def _normalise(self, features: torch.Tensor) -> torch.Tensor:
        shape = [1, -1] + [1] * (features.ndim - 2)
        axes = [axis for axis in range(features.ndim) if axis != 1]
        number = torch.tensor(float(features.numel() // features.shape[1]))
        distributed.all_reduce(number)
        mean = _sum(features.sum(axes)) / number
        centred = features - mean.reshape(shape)
        variance = _sum(centred.square().sum(axes)) / number
        if self.track_running_stats:
            self._track(mean.detach(), variance.detach() * (number / (number - 1).clamp(min=1)))
        scale = (variance + self.eps).rsqrt()
        if self.weight is not None:
            scale = scale * self.weight
        found = centred * scale.reshape(shape)
        return found if self.bias is None else found + self.bias.reshape(shape)

    def _track(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None and self.running_var is not None
        self.num_batches_tracked.add_(1)
        own = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean.mul_(1 - own).add_(mean * own)
        self.running_var.mul_(1 - own).add_(variance * own)


class _SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over all processes; gradients are those of the sum of all losses."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


def _sum(values: torch.Tensor) -> torch.Tensor:
    total: torch.Tensor = _SumOverProcesses.apply(values)
    return total
