"""What undoing the loss, a fit and thresholds make of a model, against scikit-learn's calibrators.

    python benchmarks/calibration.py --corel FOLDER --merced FOLDER --weights FILE
                                     [--quick] [--write] [--seeds N]

For each data set and seed a baseline is trained with each loss, and a student with the default
one. Fits and tuned thresholds see validation images, figures are of the test images. Logits are
kept as they are made, and a script that was stopped continues where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from calibration_study.logits import ENVIRONMENTS, TAUGHT, make_logits
from calibration_study.methods import FIGURES, measure
from common import Claim, emit
from scipy.stats import t as student_t

SEEDS = 5
KEY = ["dataset", "model", "calibration", "thresholds"]
DEFAULT = (f"baseline, {TAUGHT}", f"student, {TAUGHT}")  # models of the default loss
FITTED = (
    "Platt, global (scikit-learn)",
    "Platt, per label (scikit-learn)",
    "isotonic, per label (scikit-learn)",
    "link + fit",
)


def main() -> None:
    options = parse()
    seeds = list(range(options.seeds or (2 if options.quick else SEEDS)))
    folders = {name: getattr(options, name) for name in ("corel", "merced", "weights")}
    rows = [
        row
        for seed in seeds
        for dataset in (["default"] if options.quick else ENVIRONMENTS)
        for found in make_logits(dataset, seed, options.quick, folders)
        for row in measure(found)
    ]
    figures = pd.DataFrame(rows)
    emit(__file__, summarise(figures), claims(figures, seeds), options.write)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 seeds of few synthetic images")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    parser.add_argument("--seeds", type=int, help=f"number of seeds, by default {SEEDS}")
    parser.add_argument("--corel", type=Path, help="folder of corel5k_train.parquet")
    parser.add_argument("--merced", type=Path, help="folder of ucm17_*_160.parquet")
    parser.add_argument("--weights", type=Path, help="ImageNet weights of MobileNetV2-0.35")
    return parser.parse_args()


def summarise(figures: pd.DataFrame) -> list[dict[str, Any]]:
    """Mean and standard deviation over the seeds, one row for each method."""
    groups = figures.groupby(KEY, sort=False)[list(FIGURES.values())]
    mean, spread = groups.mean(), groups.std(ddof=1)
    return [
        dict(zip(KEY, key, strict=True))
        | {name: f"{mean.loc[key, name]:.4f} ± {spread.loc[key, name]:.4f}" for name in mean}
        for key in mean.index
    ]


def claims(figures: pd.DataFrame, seeds: list[int]) -> list[Claim]:
    """What is claimed of the models that were trained with the default loss."""
    own = figures[figures["model"].isin(DEFAULT)]
    error = own.groupby(["dataset", "model", "calibration"])["ECE"].mean().unstack()
    best = error[list(FITTED)].min(axis=1)
    gap = (error["link"] - best).max()
    worst = {name: float(error[name].max()) for name in ("sigmoid", "link", "link + fit")}
    listed = [
        Claim("link_ECE", worst["link"], "ECE, worst data set", "≤ 0.05", worst["link"] <= 0.05),
        Claim("link_ECE_above_best_fit", float(gap), "ECE, worst", "≤ 0.01", bool(gap <= 0.01)),
        Claim(
            "fitted_ECE", worst["link + fit"], "ECE, worst", "≤ 0.02", worst["link + fit"] <= 0.02
        ),
        _difference(
            own[own["dataset"] == "default"],
            "OF1",
            ("link + fit", "expected_f1"),
            ("sigmoid", "0.5"),
            "≥ 15 points",
            15.0,
        ),
    ]
    if (corel := own[own["dataset"] == "Corel5k"]).size:
        rules = ("link + fit", "expected_f1"), ("link + fit", "tuned_f1")
        listed.append(_difference(corel, "macro F1", *rules, "interval above 0", 0.0))
    return [Claim(**{**vars(claim), "seeds": seeds}) for claim in listed]


def _difference(
    figures: pd.DataFrame,
    figure: str,
    ours: tuple[str, str],
    other: tuple[str, str],
    goal: str,
    least: float,
) -> Claim:
    """Paired difference of two methods, in points, over seeds and models; 95 % interval."""
    order = ["calibration", "thresholds", "model", "seed"]
    by_method = figures.set_index(order)[figure].sort_index()
    # The models of a seed share their images: their mean is one observation.
    paired = (by_method.loc[ours] - by_method.loc[other]).groupby("seed").mean() * 100
    half = student_t.ppf(0.975, len(paired) - 1) * paired.std(ddof=1) / np.sqrt(len(paired))
    dataset = figures["dataset"].iloc[0]
    bound = paired.mean() if least else paired.mean() - half
    return Claim(
        name=f"{dataset}: {figure} of {ours[1]} above {other[1]} of {other[0]}",
        value=round(float(paired.mean()), 2),
        unit=f"points ± {half:.2f}",
        goal=goal,
        holds=bool(bound >= least if least else bound > 0),
    )


if __name__ == "__main__":
    main()
