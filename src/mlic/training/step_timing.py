"""How long a training will take on this machine, measured on a few steps."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

import torch

from mlic.models.classifier import build_classifier, build_classifiers
from mlic.models.options import BranchedModelOptions
from mlic.training.device import make_fabric, memory_advice
from mlic.training.objective import Objective
from mlic.training.optimiser import make_optimiser
from mlic.training.options import ROLES

if TYPE_CHECKING:
    from mlic.models.options import ModelOptions
    from mlic.training.options import DistillationOptions, TrainingOptions

__all__ = ["check_objectives", "measure_step"]

_STEPS = 8  # the first of them, which warms up, is not counted
_PATIENCE = 2.0  # seconds; where a step is slow, its warm-up hardly counts, and waiting does


def check_objectives(options: TrainingOptions, distillation: DistillationOptions) -> None:
    """Build the objective of every role, so that a wrong option is told before hours of training.

    Raises
    ------
    ParameterError
        If a loss or the distiller refuses its options.
    """
    for role in ROLES:
        Objective(options.for_role(role), distillation)


def measure_step(
    model_options: ModelOptions,
    options: TrainingOptions,
    image_size: int,
    num_labels: int,
    num_branches: int = 1,
) -> tuple[float, int]:
    """Time training steps on random images, with optimiser and averaged weights.

    Parameters
    ----------
    model_options, options
        Architecture and training.
    image_size
        Side of the images.
    num_labels
        Of the model, or of each of its branches.
    num_branches
        Where the model has a branch: how many are trained on one trunk.

    Returns
    -------
    seconds : float
        Of one image in training: the median of seven steps after one to warm up, or of as many
        as there is patience for.
    parameters : int
        Of the model.
    """
    from timm.utils import ModelEmaV3

    fabric = make_fabric(options)
    with memory_advice(options, "the trial step"):
        built: torch.nn.Module
        if isinstance(model_options, BranchedModelOptions):
            built = build_classifiers(model_options, [num_labels] * num_branches, False)
        else:
            built = build_classifier(model_options, num_labels, load_weights=False)
        raw = fabric.to_device(built.to(memory_format=torch.channels_last))
        average = ModelEmaV3(raw, decay=options.ema_decay)
        model, optimiser = fabric.setup(raw, make_optimiser(raw, options))
        objective = Objective(options)
        images = torch.rand(options.batch_size, 3, image_size, image_size, device=fabric.device)
        states = torch.zeros(options.batch_size, num_labels * num_branches, device=fabric.device)
        times: list[float] = []
        while len(times) < _STEPS and sum(times) < _PATIENCE:
            start = time.perf_counter()
            loss, _terms = objective(model(images), states)
            fabric.backward(loss)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            average.update(raw)
            loss.item()  # waits for a GPU
            times.append(time.perf_counter() - start)
    parameters = sum(p.numel() for p in model.parameters())
    return median(times[1:] or times) / options.batch_size, parameters
