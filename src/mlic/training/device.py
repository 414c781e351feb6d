"""Device, precision and threads of one training."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment
from lightning_fabric.strategies import DDPStrategy
from numpy.typing import NDArray

from mlic.errors import TrainingError
from mlic.training.options import TrainingOptions
from mlic.training.ranks import num_ranks

__all__ = ["compiles", "make_fabric", "memory_advice", "send", "why_not_compiled"]

log = logging.getLogger(__name__)

# optimiser steps from which on the faster steps should win back the minute that compiling takes;
# an estimate, not a measurement
_LONG = 10_000
_PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def make_fabric(options: TrainingOptions) -> Fabric:
    """Choose one GPU with mixed precision if there is one, else the CPU with 32 bits.

    Also fixes the number of CPU threads, because results are reproducible to the bit only for the
    same number of threads. In a process of `mlic.training.launch` the device is that of its rank.
    """
    precision = options.precision
    if precision == "auto":
        precision = "32"
        if torch.cuda.is_available():
            precision = "bf16" if torch.cuda.is_bf16_supported() else "16"
    fabric = Fabric(accelerator="auto", precision=_PRECISIONS[precision], **_placement())
    fabric.launch()  # no process is started: either there is one, or they exist already
    # Set for every training, because each may run in a process of its own; and after Fabric, which
    # divides the cores among ranks.
    torch.set_num_threads(options.threads)
    return fabric


def _placement() -> dict[str, Any]:
    """Devices and strategy for `Fabric`."""
    if num_ranks() == 1:
        return {"devices": 1}
    strategy = DDPStrategy(
        cluster_environment=LightningEnvironment(),
        # such as a backbone's own pooling below a head that does its own
        find_unused_parameters=True,
    )
    return {"devices": num_ranks(), "strategy": strategy}


def compiles(options: TrainingOptions, device: torch.device, steps: int) -> bool:
    """Decide whether forward pass and loss of a training of so many steps are compiled.

    With ``compile="auto"`` they are on a GPU, from 10,000 steps on. If PyTorch cannot compile, that
    is a `TrainingError` where compilation is required, and a warning with ``"auto"``.
    """
    is_auto = options.compile == "auto"
    if not options.compile or (is_auto and (device.type == "cpu" or steps < _LONG)):
        return False
    trouble = why_not_compiled(device.type)
    advice = f"training.compile: PyTorch cannot compile here ({trouble}); install a C++ compiler"
    if trouble and not is_auto:
        raise TrainingError(f"{advice}, such as g++, or set training.compile=false")
    if trouble:
        log.warning("%s to train faster", advice)
        return False
    # Every training of a run has another number of labels, and so other shapes; beyond this limit
    # PyTorch would silently stop compiling.
    torch._dynamo.config.recompile_limit = 64
    return True


@cache
def why_not_compiled(device: str) -> str:
    """PyTorch's message if it cannot compile for a device; empty if it can."""
    # Only a trial shows it: the C++ compiler is looked for when the first kernel is built.
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.zeros(8, device=device))
    except RuntimeError as error:  # the base class of what torch.compile raises
        return next((line for line in str(error).splitlines() if ": " in line), repr(error))
    return ""


def send(array: NDArray[Any], fabric: Fabric) -> torch.Tensor:
    """Copy an array to the device, without waiting for the GPU's queued work.

    For a GPU the array is first copied to page-locked memory: from other memory the copy would
    start only when the device is idle, and the device would then wait for its next kernel.
    """
    tensor = torch.from_numpy(array)
    if fabric.device.type == "cuda":
        tensor = tensor.pin_memory()
    sent: torch.Tensor = fabric.to_device(tensor)
    return sent


@contextmanager
def memory_advice(options: TrainingOptions, name: str) -> Iterator[None]:
    """Replace an out-of-memory error by a `TrainingError` that names parameters to change."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        kinds = MemoryError | torch.OutOfMemoryError
        # on the CPU, PyTorch raises a plain RuntimeError
        if not isinstance(error, kinds) and "allocate memory" not in str(error):
            raise
        half, twice = max(options.batch_size // 2, 1), options.accumulation * 2
        raise TrainingError(
            f"{name} ran out of memory with {options.batch_size} images in a batch: try "
            f"training.batch_size={half},training.accumulation={twice} (the same optimiser step in "
            "two halves), a smaller data.image_size, or training.precision=bf16",
            name=name,
            parameter="training.batch_size",
            value=options.batch_size,
        ) from error
