"""Forward and backward of the asymmetric loss against PyTorch's binary cross-entropy, eagerly.

    python benchmarks/asymmetric_loss.py [--quick] [--write] [--threads N]

The other side is `binary_cross_entropy_with_logits` with its default mean, on targets that are
floats already. Ours takes int8 states, some unknown, and is summed. Both run as a user runs them:
nothing is compiled, so no compiler is needed. Gradients are compared with the formula in float64
at every logit from -100 to 100 that the type can hold, relative to the largest of 1 and the slope.
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

SIZES = [(64, 80), (256, 80), (256, 5000)]
PRECISION = {"float32": 1e-6, "bfloat16": 2**-8, "float16": 2**-11}
GOAL = 1.0

Row = dict[str, Any]


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    rows = [row for size in SIZES for row in time_size(*size, options.quick)]
    rows += [gradient_row(name) for name in PRECISION]
    emit(__file__, rows, judge(rows), options.write)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    return parser.parse_args()


def judge(rows: list[Row]) -> list[Claim]:
    """What the raw rows say."""
    claims = []
    for size in dict.fromkeys(row["size"] for row in rows if row["what"] == "time"):
        own = [row for row in rows if row["size"] == size]
        ratio = median_ratio(own, "ours", "reference")
        name = f"asymmetric loss / eager BCE, forward and backward, {size}"
        claims.append(Claim(name, ratio, "x", f"<= {GOAL}", ratio <= GOAL, [0]))
    for row in rows:
        if row["what"] == "gradient":
            error, most = row["ours"], row["reference"]
            name = f"gradient's error against float64, {row['size']}"
            claims.append(Claim(name, error, "of 1", f"<= {most}", error <= most))
    return claims


def time_size(batch: int, labels: int, quick: bool) -> list[Row]:
    """Pairs of times at one size, in µs a call; the first pair warms up."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, labels, generator=generator).mul_(3).requires_grad_()
    draw = torch.rand(batch, labels, generator=generator)
    states = (draw < 0.03).to(torch.int8) - (draw > 0.99).to(torch.int8)
    targets, loss = (states == 1).float(), AsymmetricLoss()
    calls = max(1, 200_000 // (batch * labels))
    rows = []
    for pair in range((5 if quick else 31) + 1):
        ours = _microseconds(lambda: loss(logits, states).sum().backward(), calls)
        theirs = _microseconds(
            lambda: binary_cross_entropy_with_logits(logits, targets).backward(), calls
        )
        rows.append(_row("time", f"{batch} x {labels}", pair, ours, theirs))
    return rows[1:]


def _microseconds(step: Any, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        step()
    return (time.perf_counter() - start) / calls * 1e6


def _row(what: str, size: str, pair: int, ours: float, reference: float) -> Row:
    row = {"what": what, "size": size, "pair": pair, "ours": ours, "reference": reference}
    return {**row, "threads": torch.get_num_threads(), "load": load()}


def gradient_row(name: str) -> Row:
    """Largest error of the gradient in one type, over both known states."""
    z = torch.linspace(-100, 100, 4001).to(getattr(torch, name)).requires_grad_()
    worst = 0.0
    for state in (0, 1):
        states = torch.full(z.shape, state)
        (ours,) = torch.autograd.grad(AsymmetricLoss()(z, states).sum(), z)
        worst = max(worst, float((ours.double() - _exact(z.detach().double(), state)).abs().max()))
    return _row("gradient", name, 0, worst, PRECISION[name])


def _exact(z: torch.Tensor, state: int, gamma: int = 4, clip: float = 0.05) -> torch.Tensor:
    """Slope of the loss with constant focusing weights, in float64."""
    if state:
        return -torch.sigmoid(-z)
    p = torch.sigmoid(z)
    margin = (p - clip).clamp(min=0)
    return margin**gamma * p * torch.sigmoid(-z) / (1 - margin)


if __name__ == "__main__":
    main()
