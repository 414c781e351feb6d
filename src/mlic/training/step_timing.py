"""Time of a training step on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch

from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.models.backbone import build_backbone
from mlic.models.classifier import build_classifier, build_classifiers
from mlic.models.options import HEADS, BranchedModelOptions, ModelOptions
from mlic.training.device import make_fabric, memory_advice
from mlic.training.objective import build_loss, count_known, reduce_terms
from mlic.training.optimiser import make_optimiser
from mlic.training.options import TrainingOptions
from mlic.utils.plugins import find_plugin

__all__ = ["measure_step"]

_MAX_STEPS = 8  # at the full batch size
_MAX_SECONDS = 2.0  # of all steps together, unless a single step of two images takes longer
_FEWEST = 2  # images of the first step: batch norms need two where a map has one location


def measure_step(
    model_options: ModelOptions,
    options: TrainingOptions,
    image_size: int,
    num_labels: int,
    num_branches: int = 1,
) -> tuple[float, int]:
    """Time training steps on random square images, with optimiser and averaged weights.

    The model has `num_labels` labels, or has so many in each of its branches. The first step has
    two images, and each further one twice as many, up to the batch size of one device, while two
    seconds last. An unbranched model has the weights that the options name, so that missing weights
    are noticed.

    Returns
    -------
    seconds : float
        Training time of one image: the median over the steps with the most images.
    parameters : int
        Number of parameters of the model.

    Raises
    ------
    CheckpointError
        If the weights cannot be had, or do not fit the backbone.
    """
    from timm.utils import ModelEmaV3  # after mlic.models, which prepares torch for torchvision

    fabric = make_fabric(options)
    with memory_advice(options, "the timed step"):
        raw = fabric.to_device(_build(model_options, num_labels, num_branches))
        average = ModelEmaV3(raw, decay=options.ema_decay)
        model, optimiser = fabric.setup(raw, make_optimiser(raw, options))
        loss_function = build_loss(options)

        def step(number: int) -> float:
            images = torch.rand(number, 3, image_size, image_size, device=fabric.device)
            states = torch.zeros(number, num_labels * num_branches, device=fabric.device)
            start = time.perf_counter()
            terms = loss_function(model(images), states)
            loss = reduce_terms(terms, count_known(states), options)
            fabric.backward(loss)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            average.update(raw)
            loss.item()  # waits for a GPU
            return time.perf_counter() - start

        # several devices divide a batch
        seconds = _time_growing_steps(step, -(-options.batch_size // options.devices))
    return seconds, sum(p.numel() for p in model.parameters())


def _time_growing_steps(step: Callable[[int], float], largest: int) -> float:
    """Double the images of a step while there is time, and return the seconds of one image."""
    number, times, spent = min(_FEWEST, largest), list[float](), 0.0
    while True:
        times.append(step(number))
        spent += times[-1]
        is_full = number == largest
        # A step of twice the images is expected to take twice as long.
        following = times[-1] if is_full else 2 * times[-1]
        if spent + following > _MAX_SECONDS or (is_full and len(times) == _MAX_STEPS):
            return median(times) / number
        if not is_full:
            number, times = min(2 * number, largest), []


def _build(options: ModelOptions, num_labels: int, num_branches: int) -> torch.nn.Module:
    """Build a model like the ones to be trained."""
    context = LabelContext(LabelSpace(tuple(f"label {number}" for number in range(num_labels))))
    needs = find_plugin(HEADS, options.head).needs
    model: torch.nn.Module
    if isinstance(options, BranchedModelOptions):
        model = build_classifiers(options, [context] * num_branches, load_weights=False)
    elif options.embeddings.source == "learned" and needs <= {"embeddings"}:
        model = build_classifier(options, context)
    else:  # the vectors or the counts of the labels are not known yet
        build_backbone(options)
        model = build_classifier(options, context, load_weights=False)
    return model.to(memory_format=torch.channels_last)
