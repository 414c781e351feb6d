"""How much labels say about each other, without any image, on all labels of MS-COCO.

    python benchmarks/label_context.py --labels FOLDER --write

The head of C-Tran is trained on the label matrix of the training images alone, without image
tokens, by label-mask training. It predicts the hidden labels of the validation images (the test
images here) when 0, 20, 40 or 60 of 80 labels are known. Published for this ablation (Lanchantin et
al., CVPR 2021): mAP 3.60 with nothing known, 21.7 with half of the labels known. Controls:
logistic regression and a perceptron on the known states, and the refiner of mlic. Protocol as
published: for each label, average precision over the images in which it is hidden. Epochs and sizes
were chosen on 4,000 training images, which no model here is trained on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Claim, emit
from numpy.typing import NDArray
from scipy.special import logit
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mlic.evaluation.metrics import mean_average_precision
from mlic.evaluation.refinement import draw_subsets
from mlic.inference.fit_refiner import fit_refiner
from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.labels.statistics import LabelStatistics, count_labels
from mlic.models.heads.c_tran import CTranHead
from mlic.training.label_mask import draw_known
from mlic.training.options import LabelMaskOptions

SHARES = (0.0, 0.25, 0.5, 0.75)
PUBLISHED = {0.0: 3.60, 0.5: 21.7}
HELD_OUT = 4000
MASK_SEEDS = (0, 1, 2)
SIZE: dict[str, Any] = {"width": 64, "layers": 2, "heads": 2, "feedforward": 128, "dropout": 0}
States = NDArray[np.int8]
Predict = Callable[[States], NDArray[np.floating]]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: AdamW with one cycle, averaged weights."""

    epochs: int
    learning_rate: float
    batch_size: int = 128


RECIPES = {
    "logistic regression": Recipe(20, 3e-3),
    "perceptron": Recipe(60, 2e-3, 256),
    "C-Tran head": Recipe(60, 3e-3),
}


class OnStates(nn.Module):
    """A network on two numbers for each label: known to be present, known to be absent."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, known: torch.Tensor) -> torch.Tensor:
        """Compute logits of known states; shape (B, C) both."""
        found: torch.Tensor = self.network(torch.cat([known == 1, known == 0], dim=1).float())
        return found


class WithoutImage(nn.Module):
    """The head of C-Tran on no image tokens at all."""

    def __init__(self, space: LabelSpace) -> None:
        super().__init__()
        self.head = CTranHead(1, LabelContext(space), **SIZE)

    def forward(self, known: torch.Tensor) -> torch.Tensor:
        """Compute logits of known states; shape (B, C) both."""
        found: torch.Tensor = self.head(torch.zeros(len(known), 0, 1), known)
        return found


def main() -> None:
    """Train all, score all, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True, help="coco2014_{train,val}.npz")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one epoch of 4,000 images")
    parser.add_argument("--validate", action="store_true", help="score the held-out images instead")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train, held_out, test, space = _read(options)
    judged = held_out if options.validate else test
    rows, scores = [], {}
    for name, predict, seconds in _predictors(train, held_out, space, options):
        found = {share: _score(predict, judged, share) for share in SHARES}
        scores[name] = {share: float(np.mean(values)) for share, values in found.items()}
        shown = {f"{round(share * 100)} % known": _spread(v) for share, v in found.items()}
        rows.append({"model": name, **shown, "seconds": round(seconds)})
        print(rows[-1], flush=True)
    published = {f"{round(s * 100)} % known": str(PUBLISHED.get(s, "")) for s in SHARES}
    rows.append({"model": "C-Tran, published", **published, "seconds": ""})
    emit(__file__, rows, _claims(scores, options.seed), options.write)


def _read(options: argparse.Namespace) -> tuple[States, States, States, LabelSpace]:
    """Labels to train on, to choose by, and to test on."""
    files = [np.load(options.labels / f"coco2014_{part}.npz") for part in ("train", "val")]
    states, test = (file["labels"].astype(np.int8) for file in files)
    space = LabelSpace(tuple(files[0]["classes"].tolist()))
    order = np.random.default_rng(4000).permutation(len(states))
    held_out, train = states[order[:HELD_OUT]], states[order[HELD_OUT:]]
    return (train[:4000], held_out, test[:2000], space) if options.quick else (
        train, held_out, test, space
    )  # fmt: skip


def _predictors(
    train: States, held_out: States, space: LabelSpace, options: argparse.Namespace
) -> Iterator[tuple[str, Predict, float]]:
    """Every model, from known states to scores, and the seconds of its training."""
    size = len(space)
    start = time.perf_counter()
    refiner = _fit_refiner(count_labels(train, space), held_out)
    yield "refiner", refiner, time.perf_counter() - start
    hidden = 512
    networks: dict[str, Callable[[], nn.Module]] = {
        "logistic regression": lambda: OnStates(nn.Linear(2 * size, size)),
        "perceptron": lambda: OnStates(
            nn.Sequential(
                *(nn.Linear(2 * size, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()),
                nn.Linear(hidden, size),
            )
        ),
        "C-Tran head": lambda: WithoutImage(space),
    }
    for name, build in networks.items():
        start = time.perf_counter()
        torch.manual_seed(options.seed)
        recipe = Recipe(1, RECIPES[name].learning_rate) if options.quick else RECIPES[name]
        model = _train(build(), train, recipe, options.seed)
        yield name, _make_predict(model), time.perf_counter() - start


def _fit_refiner(statistics: LabelStatistics, held_out: States) -> Predict:
    """Refine the frequencies of the labels, which is all that is known without an image."""
    frequency = (statistics.counts + 0.5) / (statistics.num_images + 1)
    odds = np.tile(logit(frequency), (len(held_out), 1))
    parts = [(odds, known) for known in draw_subsets(held_out, np.random.default_rng(0))]
    best = fit_refiner(parts, held_out, statistics)[0]
    return lambda known: best.refine(np.tile(logit(frequency), (len(known), 1)), known)


def _train(model: nn.Module, states: States, recipe: Recipe, seed: int) -> nn.Module:
    """Minimise the cross-entropy of the hidden labels; return the averaged weights."""
    rng, size = np.random.default_rng(seed), recipe.batch_size
    steps = recipe.epochs * (len(states) // size)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=steps, pct_start=0.1
    )
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))
    columns, mask = np.arange(states.shape[1]), LabelMaskOptions()
    done = 0
    while done < steps:
        order = rng.permutation(len(states))
        for first in range(0, len(states) - size + 1, size):
            batch = states[order[first : first + size]]
            known = draw_known(batch, columns, mask, rng)
            hidden = torch.from_numpy(known < 0)
            logits = model(torch.from_numpy(known))
            target = torch.from_numpy(batch.astype(np.float32))
            loss = binary_cross_entropy_with_logits(logits[hidden], target[hidden])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            average.update_parameters(model)
            done += 1
    return average.module.eval()


def _make_predict(model: nn.Module) -> Predict:
    def predict(known: States) -> NDArray[np.floating]:
        with torch.inference_mode():
            parts = [
                model(torch.from_numpy(known[i : i + 1000])).numpy()
                for i in range(0, len(known), 1000)
            ]
        return np.concatenate(parts)

    return predict


def _score(predict: Predict, states: States, share: float) -> list[float]:
    """Score one share of known labels, in percent, for each seed of the masks."""
    number, found = int(share * states.shape[1]), []
    for seed in MASK_SEEDS if number else MASK_SEEDS[:1]:
        ranks = np.random.default_rng(seed).random(states.shape).argsort(axis=1).argsort(axis=1)
        known = np.where(ranks < number, states, -1).astype(np.int8)
        scored = np.where(ranks < number, -1, states).astype(np.int8)
        found.append(100 * mean_average_precision(predict(known), scored))
    return found


def _spread(values: list[float]) -> str:
    deviation = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{deviation}"


def _claims(scores: dict[str, dict[float, float]], seed: int) -> list[Claim]:
    half = {name: found[0.5] for name, found in scores.items()}
    ours = half.pop("C-Tran head")
    control = max(half.values())
    return [
        Claim("half_known", ours, "mAP", ">= 21.7", ours >= 21.7, [seed]),
        Claim("above_best_control", ours - control, "points of mAP", "> 0", ours > control, [seed]),
    ]


if __name__ == "__main__":
    main()
