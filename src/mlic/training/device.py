"""Device, precision and threads of one training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from lightning_fabric import Fabric

from mlic.errors import TrainingError

if TYPE_CHECKING:
    from mlic.training.options import TrainingOptions

__all__ = ["make_fabric", "memory_advice"]

_PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def make_fabric(options: TrainingOptions) -> Fabric:
    """Choose one GPU with mixed precision where there is one, else the CPU with 32 bits.

    Also pins the number of CPU threads, on which the last digits of a training depend.
    """
    torch.set_num_threads(options.threads)
    precision = options.precision
    if precision == "auto":
        precision = "32"
        if torch.cuda.is_available():
            precision = "bf16" if torch.cuda.is_bf16_supported() else "16"
    return Fabric(accelerator="auto", devices=1, precision=_PRECISIONS[precision])


@contextmanager
def memory_advice(options: TrainingOptions, name: str) -> Iterator[None]:
    """Turn a lack of memory into advice.

    Raises
    ------
    TrainingError
        When the wrapped code ran out of memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        lacking = isinstance(
            error, MemoryError | torch.OutOfMemoryError
        ) or "allocate memory" in str(error)
        if not lacking:
            raise
        half, twice = max(options.batch_size // 2, 1), options.accumulation * 2
        raise TrainingError(
            f"{name} ran out of memory at {options.batch_size} pictures a batch: try "
            f"training.batch_size={half},training.accumulation={twice} (the same step in two "
            "halves), a smaller data.image_size, or training.precision=bf16"
        ) from error
