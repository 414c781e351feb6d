"""Time of a training step on this machine."""

from __future__ import annotations

import time
from statistics import median

import torch

from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.models.classifier import build_classifier, build_classifiers
from mlic.models.options import BranchedModelOptions, ModelOptions
from mlic.training.device import make_fabric, memory_advice
from mlic.training.objective import build_loss, count_known, reduce_terms
from mlic.training.optimiser import make_optimiser
from mlic.training.options import TrainingOptions

__all__ = ["measure_step"]

_MAX_STEPS = 8  # the first one warms up and does not count
_MAX_SECONDS = 2.0  # where steps are slow, the warm-up hardly matters


def measure_step(
    model_options: ModelOptions,
    options: TrainingOptions,
    image_size: int,
    num_labels: int,
    num_branches: int = 1,
) -> tuple[float, int]:
    """Time training steps on random square images, with optimiser and averaged weights.

    The model has `num_labels` labels, or has so many in each of its branches.

    Returns
    -------
    seconds : float
        Training time of one image: the median over seven steps after one to warm up, or over fewer
        if steps are slow.
    parameters : int
        Number of parameters of the model.
    """
    from timm.utils import ModelEmaV3  # after mlic.models, which prepares torch for torchvision

    fabric = make_fabric(options)
    with memory_advice(options, "the timed step"):
        raw = fabric.to_device(_build(model_options, num_labels, num_branches))
        average = ModelEmaV3(raw, decay=options.ema_decay)
        model, optimiser = fabric.setup(raw, make_optimiser(raw, options))
        loss_function = build_loss(options)
        images = torch.rand(options.batch_size, 3, image_size, image_size, device=fabric.device)
        states = torch.zeros(options.batch_size, num_labels * num_branches, device=fabric.device)
        times: list[float] = []
        while len(times) < _MAX_STEPS and sum(times) < _MAX_SECONDS:
            start = time.perf_counter()
            terms = loss_function(model(images), states)
            loss = reduce_terms(terms, count_known(states), options)
            fabric.backward(loss)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            average.update(raw)
            loss.item()  # waits for a GPU
            times.append(time.perf_counter() - start)
    parameters = sum(p.numel() for p in model.parameters())
    return median(times[1:] or times) / options.batch_size, parameters


def _build(options: ModelOptions, num_labels: int, num_branches: int) -> torch.nn.Module:
    """Build a model like the ones to be trained, with random weights."""
    context = LabelContext(LabelSpace(tuple(f"label {number}" for number in range(num_labels))))
    model: torch.nn.Module
    # time does not depend on the weights, so that none are loaded
    if isinstance(options, BranchedModelOptions):
        model = build_classifiers(options, [context] * num_branches, load_weights=False)
    else:
        model = build_classifier(options, context, load_weights=False)
    return model.to(memory_format=torch.channels_last)
