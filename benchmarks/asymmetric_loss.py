"""Forward and backward of the asymmetric loss against PyTorch's binary cross-entropy, eagerly.

    python benchmarks/asymmetric_loss.py [--quick] [--write] [--threads N]

The other side is eager `binary_cross_entropy_with_logits` with its default mean, on targets that
are floats already. Ours takes int8 states, some unknown, and is summed. It is timed as it comes
("eager") and, where PyTorch finds a compiler, after `AsymmetricLoss.compile` ("compiled"); then
the latter is what the goal is for, else the former. At 32 x 80 both sides are calls more than sums:
the figure is stated, without a goal. Gradients are compared with the formula in float64 at every
logit from -100 to 100 that the type can hold, relative to the largest of 1 and the slope.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from common import Claim, emit
from torch.nn.functional import binary_cross_entropy_with_logits
from trainings import load, median_ratio

from mlic.losses.asymmetric import AsymmetricLoss
from mlic.training.device import why_not_compiled

SIZES = [(32, 80), (256, 80), (256, 5000)]
SMALL = "32 x 80"
PRECISION = {"float32": 1e-6, "bfloat16": 2**-8, "float16": 2**-11}
GOAL = 1.0

Row = dict[str, Any]
Losses = dict[str, AsymmetricLoss]


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    losses = make_losses()
    rows = [row for size in SIZES for row in time_size(*size, losses, options.quick)]
    rows += [gradient_row(name, way, losses[way]) for name in PRECISION for way in losses]
    emit(__file__, rows, check_claims(rows), options.write)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    return parser.parse_args()


def check_claims(rows: list[Row]) -> list[Claim]:
    """What the raw rows say."""
    times = [row for row in rows if row["what"] == "time"]
    best = "compiled" if any(row["way"] == "compiled" for row in times) else "eager"
    claims = []
    for size, way in dict.fromkeys((row["size"], row["way"]) for row in times):
        own = [row for row in times if (row["size"], row["way"]) == (size, way)]
        ratio = median_ratio(own, "ours", "reference")
        meant = way == best and size != SMALL
        goal, holds = (f"<= {GOAL}", ratio <= GOAL) if meant else ("stated", True)
        name = f"asymmetric loss, {way} / eager BCE, forward and backward, {size}"
        claims.append(Claim(name, ratio, "x", goal, holds, [0]))
    for row in rows:
        if row["what"] == "gradient":
            error, most = row["ours"], row["reference"]
            name = f"gradient's error against float64, {row['size']}, {row['way']}"
            claims.append(Claim(name, error, "of 1", f"<= {most}", error <= most))
    return claims


def make_losses() -> Losses:
    """The loss as it comes and, where there is a compiler, compiled."""
    losses = {"eager": AsymmetricLoss()}
    if not why_not_compiled("cpu"):
        losses["compiled"] = AsymmetricLoss()
        losses["compiled"].compile()
    return losses


def time_size(batch: int, labels: int, losses: Losses, quick: bool) -> list[Row]:
    """Sides by turns at one size, in µs a call; the first round warms up and compiles."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, labels, generator=generator).mul_(3).requires_grad_()
    draw = torch.rand(batch, labels, generator=generator)
    states = (draw < 0.03).to(torch.int8) - (draw > 0.99).to(torch.int8)
    targets = (states == 1).float()
    sides = {
        way: lambda loss=loss: loss(logits, states).sum().backward() for way, loss in losses.items()
    }
    sides["BCE"] = lambda: binary_cross_entropy_with_logits(logits, targets).backward()
    calls = max(1, 200_000 // (batch * labels))
    rows = []
    for pair in range((7 if quick else 51) + 1):
        times = {name: _microseconds(side, calls) for name, side in sides.items()}
        for way in losses if pair else ():
            about = ("time", f"{batch} x {labels}", way, pair)
            rows.append(_row(*about, times[way], times["BCE"]))
    return rows


def _microseconds(step: Any, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        step()
    return (time.perf_counter() - start) / calls * 1e6


def _row(what: str, size: str, way: str, pair: int, ours: float, reference: float) -> Row:
    row = {"what": what, "size": size, "way": way, "pair": pair}
    row |= {"ours": ours, "reference": reference}
    return {**row, "threads": torch.get_num_threads(), "load": load()}


def gradient_row(name: str, way: str, loss: AsymmetricLoss) -> Row:
    """Largest error of the gradient in one type, over both known states."""
    z = torch.linspace(-100, 100, 4001).to(getattr(torch, name))[None].requires_grad_()
    worst = 0.0
    for state in (0, 1):
        (ours,) = torch.autograd.grad(loss(z, torch.full(z.shape, state)).sum(), z)
        worst = max(worst, float((ours.double() - _exact(z.detach().double(), state)).abs().max()))
    return _row("gradient", name, way, 0, worst, PRECISION[name])


def _exact(z: torch.Tensor, state: int, gamma: int = 4, clip: float = 0.05) -> torch.Tensor:
    """Slope of the loss with constant focusing weights, in float64."""
    if state:
        return -torch.sigmoid(-z)
    p = torch.sigmoid(z)
    margin = (p - clip).clamp(min=0)
    return margin**gamma * p * torch.sigmoid(-z) / (1 - margin)


if __name__ == "__main__":
    main()
