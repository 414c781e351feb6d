"""Forward and backward of the asymmetric losses against PyTorch's binary cross-entropy, eagerly.

    python benchmarks/asymmetric_loss.py [--quick] [--write] [--threads N]

The other side is eager `binary_cross_entropy_with_logits` with its default mean, on targets that
are floats already. Ours takes int8 states, some unknown, and is summed. It is timed as it comes
("eager") and, where PyTorch finds a compiler, after `Loss.compile` ("compiled"); then the latter is
what the goal is for, else the former. At 32 x 80 both sides are calls more than sums: the figure is
stated, without a goal. "calls alone" is what no loss in Python can be faster than: an autograd
function that multiplies once in each direction, and a compiled function that does next to nothing.
Gradients are compared with the formula in float64 at every logit from -100 to 100 that the type can
hold, relative to the largest of 1 and the slope.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from common import Claim, emit
from torch.nn.functional import binary_cross_entropy_with_logits
from trainings import load, median_ratio

from mlic.losses._scale import scale_for
from mlic.losses.angular_asymmetric import AngularAsymmetricLoss
from mlic.losses.asymmetric import AsymmetricLoss
from mlic.losses.base import Loss
from mlic.training.device import why_not_compiled

SIZES = [(32, 80), (256, 80), (256, 5000)]
SMALL = "32 x 80"
PRECISION = {"float32": 1e-6, "bfloat16": 2**-8, "float16": 2**-11}
GOAL = 1.0

Row = dict[str, Any]
Losses = dict[str, Loss]  # by way
KINDS: dict[str, type[Loss]] = {
    "asymmetric": AsymmetricLoss,
    "angular asymmetric": AngularAsymmetricLoss,
}
CALLS = "calls alone"


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    rows: list[Row] = []
    for kind in KINDS:
        losses = make_losses(kind)
        for size in SIZES:
            rows += [{"loss": kind, **row} for row in time_size(*size, losses, options.quick)]
        for name in PRECISION:
            rows += [{"loss": kind, **gradient_row(name, kind, way, losses[way])} for way in losses]
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
    for loss, size, way in dict.fromkeys((row["loss"], row["size"], row["way"]) for row in times):
        own = [row for row in times if (row["loss"], row["size"], row["way"]) == (loss, size, way)]
        ratio = median_ratio(own, "ours", "reference")
        meant = way == best and size != SMALL
        goal, holds = (f"<= {GOAL}", ratio <= GOAL) if meant else ("stated", True)
        name = f"{loss} loss, {way} / eager BCE, forward and backward, {size}"
        claims.append(Claim(name, ratio, "x", goal, holds, [0]))
    for row in rows:
        if row["what"] == "gradient":
            error, most = row["ours"], row["reference"]
            name = f"{row['loss']} loss, gradient against float64, {row['size']}, {row['way']}"
            claims.append(Claim(name, error, "of 1", f"<= {most}", error <= most))
    return claims


class Calls(torch.autograd.Function):
    """A function that multiplies once in each direction."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor) -> torch.Tensor:  # noqa: D102
        ctx.save_for_backward(logits)
        return logits.detach() * 1

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # noqa: D102
        (saved,) = ctx.saved_tensors
        return gradient * saved


def make_losses(kind: str) -> Losses:
    """The loss as it comes and, where there is a compiler, compiled."""
    losses: Losses = {"eager": KINDS[kind]()}
    if not why_not_compiled("cpu"):
        losses["compiled"] = KINDS[kind]()
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
    if "compiled" in losses:
        detached, nothing = logits.detach(), torch.compile(lambda z: z + 1)

        def calls_alone() -> None:
            nothing(detached)
            Calls.apply(logits).sum().backward()  # type: ignore[no-untyped-call]

        sides[CALLS] = calls_alone
    sides["BCE"] = lambda: binary_cross_entropy_with_logits(logits, targets).backward()
    repeats = max(1, 200_000 // (batch * labels))
    rows = []
    for pair in range((7 if quick else 51) + 1):
        times = {name: _microseconds(side, repeats) for name, side in sides.items()}
        for way in [name for name in sides if name != "BCE"] if pair else ():
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


def gradient_row(name: str, kind: str, way: str, loss: Loss) -> Row:
    """Largest error of the gradient in one type, over both known states."""
    z = torch.linspace(-100, 100, 4001).to(getattr(torch, name))[None].requires_grad_()
    worst = 0.0
    for state in (0, 1):
        (ours,) = torch.autograd.grad(loss(z, torch.full(z.shape, state)).sum(), z)
        worst = max(
            worst, float((ours.double() - _exact(kind, z.detach().double(), state)).abs().max())
        )
    return _row("gradient", name, way, 0, worst, PRECISION[name])


def _exact(kind: str, z: torch.Tensor, state: int) -> torch.Tensor:
    """Slope of the loss with its default options, in float64."""
    p = torch.sigmoid(z)
    if kind == "angular asymmetric":  # of 4,001 labels
        weight, scale = 0.7, scale_for("auto", len(z[0]))
        return -weight / scale * torch.sigmoid(-z) if state else (1 - weight) / scale * p
    if state:
        return -torch.sigmoid(-z)
    margin = (p - 0.05).clamp(min=0)
    return margin**4 * p * torch.sigmoid(-z) / (1 - margin)


if __name__ == "__main__":
    main()
