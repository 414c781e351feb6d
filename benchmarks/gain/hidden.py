"""Many one-hidden-layer models at once: a leading dimension of models, each with its own chance.

Models never meet: each has its own order of images, views, dropout and starting weights, from
its own seed, so that a model comes out the same whatever it is trained beside.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import relu

from mlic.training.options import DISTILLERS, LOSSES
from mlic.utils.plugins import build_plugin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Distillation", "Recipe", "grow", "predict", "stack_columns", "train"]

Weights = list[torch.Tensor]  # hidden layer and output layer: weight, bias, weight, bias
WARMUP = 0.1


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of one training."""

    epochs: int = 20
    learning_rate: float = 1e-3
    width: int = 256
    input_dropout: float = 0.0
    dropout: float = 0.5
    weight_decay: float = 0.01
    batch_size: int = 64
    loss: str = "asymmetric"
    loss_options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Distillation:
    """How a student weighs truth and teachers."""

    distiller: str = "binary_kl"
    options: dict[str, Any] = field(default_factory=dict)
    hard: float = 0.5  # weight of the truth; 1 − hard falls to the teachers


def stack_columns(groups: Sequence[Sequence[int]]) -> torch.Tensor:
    """Label columns of every model, shape (N, M), filled up with −1.

    Examples
    --------
    >>> stack_columns([[0, 2], [1]]).tolist()
    [[0, 2], [1, -1]]
    """
    width = max(map(len, groups))
    return torch.tensor([[*group, *[-1] * (width - len(group))] for group in groups])


def train(
    features: torch.Tensor,
    states: torch.Tensor,
    columns: torch.Tensor,
    seeds: Sequence[int],
    recipe: Recipe,
    targets: Sequence[torch.Tensor] = (),
    distillation: Distillation | None = None,
    start: Weights | None = None,
) -> Weights:
    """Train N models side by side.

    Parameters
    ----------
    features
        Of stored views; shape (V, n, D).
    states
        Of all labels; shape (n, C), int8.
    columns
        Labels of every model, −1 where it has fewer; shape (N, M).
    seeds
        One a model.
    recipe
        Hyper-parameters.
    targets
        Logits that the committees of each strategy gave for the views; shape (N, V, n, M) each,
        weighed equally.
    distillation
        Goes with targets.
    start
        Weights to go on from, shapes as those returned; random without.

    Returns
    -------
    list of torch.Tensor
        Shapes (N, D, H), (N, 1, H), (N, H, M) and (N, 1, M).
    """
    chances = [torch.Generator().manual_seed(seed) for seed in seeds]
    sizes = (features.shape[-1], recipe.width, columns.shape[1])
    weights = [w.clone() for w in start] if start else _initial(chances, *sizes)
    for tensor in weights:
        tensor.requires_grad_()
    truth = _own_states(states, columns)
    heard = [target.flatten(1, 2) for target in targets]
    objective = _objective(recipe, distillation)
    optimiser, schedule = _optimiser(weights, recipe, len(states))
    models = torch.arange(len(seeds))[:, None]
    for images, views in _batches(chances, recipe, features.shape[:2]):
        cells = views * features.shape[1] + images
        logits = _forward(weights, features.flatten(0, 1)[cells], recipe, chances)
        loss = objective(logits, truth[models, images], [h[models, cells] for h in heard])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return [tensor.detach() for tensor in weights]


@torch.inference_mode()
def predict(weights: Weights, model: int, features: torch.Tensor) -> torch.Tensor:
    """Logits of one model for features of shape (…, D); shape (…, M)."""
    hidden, bias, out, last = (w[model] for w in weights)
    rows = features.flatten(0, -2)
    logits = torch.addmm(last, relu(torch.addmm(bias, rows, hidden)), out)
    return logits.unflatten(0, features.shape[:-1])


def grow(weights: Weights, columns: torch.Tensor) -> Weights:
    """Specialists that start from a trained model of all labels: its own columns of the output.

    Parameters
    ----------
    weights
        Of as many models of all labels as there are specialists.
    columns
        As in `train`.
    """
    hidden, bias, out, last = weights
    index = columns.clamp(min=0)[:, None]
    return [
        hidden,
        bias,
        out.gather(2, index.expand(-1, out.shape[1], -1)),
        last.gather(2, index),
    ]


def _initial(chances: Sequence[torch.Generator], inputs: int, width: int, outputs: int) -> Weights:
    """He's normal weights for the hidden layer, a tenth of it for the output, no bias."""
    hidden = [torch.randn(inputs, width, generator=c) * (2 / inputs) ** 0.5 for c in chances]
    out = [torch.randn(width, outputs, generator=c) * 0.1 * (2 / width) ** 0.5 for c in chances]
    number = len(chances)
    zeros = torch.zeros(number, 1, width), torch.zeros(number, 1, outputs)
    return [torch.stack(hidden), zeros[0], torch.stack(out), zeros[1]]


def _own_states(states: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """States of each model's labels, unknown where it has none; shape (N, n, M)."""
    own = states.T[columns.clamp(min=0)].transpose(1, 2)
    return own.masked_fill(columns[:, None] < 0, -1)


def _batches(
    chances: Sequence[torch.Generator], recipe: Recipe, shape: torch.Size
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Images and their views, shape (N, B) each; an epoch leaves out fewer than its batches."""
    views, number = shape
    batches = _batches_of(number, recipe)
    size = number // batches
    for _ in range(recipe.epochs):
        order = torch.stack([torch.randperm(number, generator=c) for c in chances])
        seen = torch.stack([torch.randint(views, (number,), generator=c) for c in chances])
        for start in range(0, batches * size, size):
            part = slice(start, start + size)
            yield order[:, part], seen[:, part]


def _batches_of(number: int, recipe: Recipe) -> int:
    """Batches an epoch, equal ones of about the size asked for."""
    return max(1, round(number / recipe.batch_size))


def _forward(
    weights: Weights, x: torch.Tensor, recipe: Recipe, chances: Sequence[torch.Generator]
) -> torch.Tensor:
    x = _drop(x, recipe.input_dropout, chances)
    hidden = relu(torch.baddbmm(weights[1], x, weights[0]))
    return torch.baddbmm(weights[3], _drop(hidden, recipe.dropout, chances), weights[2])


def _drop(x: torch.Tensor, share: float, chances: Sequence[torch.Generator]) -> torch.Tensor:
    if not share:
        return x
    kept = torch.stack([torch.rand(x.shape[1:], generator=c) for c in chances]) >= share
    return x * kept / (1 - share)


def _objective(recipe: Recipe, distillation: Distillation | None) -> Any:
    """Sum over labels, mean over images, sum over models, which so have their own gradients."""
    loss = build_plugin(LOSSES, recipe.loss, recipe.loss_options)

    def hard(logits: torch.Tensor, states: torch.Tensor, heard: list[torch.Tensor]) -> torch.Tensor:
        total: torch.Tensor = loss(logits, states).sum() / logits.shape[1]
        return total

    if distillation is None:
        return hard
    distil = build_plugin(DISTILLERS, distillation.distiller, distillation.options)

    def both(logits: torch.Tensor, states: torch.Tensor, heard: list[torch.Tensor]) -> torch.Tensor:
        soft = sum(distil(logits, teacher).sum() for teacher in heard) / len(heard)
        return distillation.hard * hard(logits, states, heard) + (
            (1 - distillation.hard) * soft / logits.shape[1]
        )

    return both


def _optimiser(weights: Weights, recipe: Recipe, images: int) -> Any:
    matrices, biases = weights[::2], weights[1::2]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": biases, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    steps = recipe.epochs * _batches_of(images, recipe)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=steps, pct_start=WARMUP, cycle_momentum=False
    )
    return optimiser, schedule
