"""Device, precision and threads of one training."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from mlic.errors import TrainingError

if TYPE_CHECKING:
    from mlic.training.options import TrainingOptions

__all__ = ["compiles", "make_fabric", "memory_advice", "send", "why_not_compiled"]

log = logging.getLogger(__name__)

_LONG = 10_000  # steps; our guess of what wins back the minute or so that compiling takes
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


def compiles(options: TrainingOptions, device: torch.device, steps: int) -> bool:
    """Whether a training's forward pass and loss are to be compiled.

    Parameters
    ----------
    options
        Their ``compile`` says yes, no, or to choose: yes on a GPU, from 10,000 steps on.
    device
        Where it trains.
    steps
        Of the optimiser, in all.

    Raises
    ------
    TrainingError
        If PyTorch is asked to compile and cannot. Where the choice is free, a warning says so.
    """
    free = options.compile == "auto"
    if not options.compile or (free and (device.type == "cpu" or steps < _LONG)):
        return False
    trouble = why_not_compiled(device.type)
    advice = f"training.compile: PyTorch cannot compile here ({trouble}); install a C++ compiler"
    if trouble and not free:
        raise TrainingError(f"{advice}, such as g++, or set training.compile=false")
    if trouble:
        log.warning("%s to train faster", advice)
        return False
    # each training of a run has labels, and so shapes, of its own: past the limit none is compiled
    torch._dynamo.config.recompile_limit = 64
    return True


@cache
def why_not_compiled(device: str) -> str:
    """What PyTorch says when it cannot compile for a device; nothing if it can."""
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.zeros(8, device=device))
    except RuntimeError as error:  # the root of what torch.compile raises
        return next((line for line in str(error).splitlines() if ": " in line), repr(error))
    return ""


def send(array: NDArray[Any], fabric: Fabric) -> torch.Tensor:
    """Put an array on the device, without waiting for what a GPU has still to do.

    For a GPU the array is copied to page-locked memory first: from any other the copy would only
    begin once the device is idle, and the device would then wait for its next orders.
    """
    tensor = torch.from_numpy(array)
    if fabric.device.type == "cuda":
        tensor = tensor.pin_memory()
    sent: torch.Tensor = fabric.to_device(tensor)
    return sent


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
            f"{name} ran out of memory at {options.batch_size} images a batch: try "
            f"training.batch_size={half},training.accumulation={twice} (the same step in two "
            "halves), a smaller data.image_size, or training.precision=bf16"
        ) from error
