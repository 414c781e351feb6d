"""Shift study: what label groups gain where co-occurrence misleads, on synthetic scenes.

At shift 0 the labels of test scenes co-occur as in the training scenes. At shift 1 an object is
equally likely to come from any community, so that co-occurrence carries no information. In between
the probability of an object of another community is interpolated. Test labels are without noise.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from common import Claim, load_parameters
from pandas import DataFrame

from gain.claims import ingredients
from gain.comparison import BASELINE, Setting, gain_claim
from gain.harness import RowStore, Study, training_folder
from gain.product import Measurement, Team, Trained, Trainings
from mlic.config.parameters import Parameters
from mlic.evaluation.metrics import mean_average_precision
from mlic.images.decode import decode_sources
from mlic.images.options import SyntheticOptions
from mlic.images.store import ImageStore
from mlic.images.synthetic.scenes import draw_scenes
from mlic.labels import LabelMatrix
from mlic.labels.partition import Partition
from mlic.labels.partition.partitioning import partition_labels, random_partition
from mlic.labels.split import stratified_split
from mlic.labels.statistics import count_labels
from mlic.utils.seeds import derive_seed

SEEDS, PARTS = 8, 3
SHIFTS = (0.0, 0.25, 0.5, 0.75, 1.0)
DISTILLER = "binary_kl"  # of the demo's parameters
ENSEMBLES = {
    "full-label × 1": Team("full_label"),
    "full-label × 6": Team("full_label", number=2 * PARTS),
    "random + random": Team("separate", ("random", "random_2")),
    "CGP + DGP": Team("separate", ("cgp", "dgp")),
}
NOTE = (
    "The rows were measured at commit a303cfb. New rows of full-label teachers differ from them "
    "in their seeds, which the product now derives from the name `full_label` instead of `plain`. "
    "Costs of these rows count training passes, in those of the baseline; costs of new rows are "
    "seconds of a processor."
)


def make_study(options: argparse.Namespace) -> Study:
    """The shift study; few scenes and one epoch to try whether all works."""
    overrides = ["training.threads=1", "partition.strategies=[cgp,dgp]"]
    if options.quick:
        overrides += ["training.epochs=1", "synthetic.num_images=300"]
    parameters, number = load_parameters(overrides), 100 if options.quick else 1000
    configuration = {
        "parameters": parameters.model_dump(mode="json"),
        "shifts": SHIFTS,
        "test_images": number,
    }
    measure = partial(_measure_seed, parameters=parameters.model_dump_json(), number=number)
    return Study("shift", configuration, SEEDS, measure, claims, ingredients, NOTE)


def _measure_seed(store: RowStore, seed: int, parameters: str, number: int) -> None:
    p = Parameters.model_validate_json(parameters)
    scenes = SceneSets(p, seed, number)
    images, labels = scenes.learning
    inputs = {"images": images, "labels": labels, "data": p.data, "model": p.model}
    inputs |= {"training": p.training, "seed": seed}
    folder = training_folder("shift", {"parameters": parameters}, seed)
    trainings = Trainings(inputs, scenes.partition, folder)
    one = Measurement(store, trainings, partial(_score, trainings, scenes))
    one.baseline()
    for name, team in ENSEMBLES.items():
        one.ensemble(name, [team], (_student(name), p.distillation))


@dataclass(frozen=True)
class SceneSets:
    """Scenes of one seed: training and validation images, and test images for every shift."""

    parameters: Parameters
    seed: int
    test_images: int

    @cached_property
    def learning(self) -> tuple[ImageStore, LabelMatrix]:
        """Training and validation images."""
        data, scenes = self.parameters.data, self.parameters.synthetic
        left = 1 - data.test_fraction
        number = round(scenes.num_images * left)
        images, labels = _draw(scenes, derive_seed(self.seed, "scenes"), num_images=number)
        validation = data.validation_fraction / left
        shares = {"train": 1 - validation, "validation": validation}
        split = stratified_split(labels.states, shares, derive_seed(self.seed, "split"))
        return images, labels.with_split(split)

    @cached_property
    def tests(self) -> dict[str, tuple[ImageStore, LabelMatrix]]:
        """Test images by the name of their column."""
        scenes, number = self.parameters.synthetic, self.test_images
        return {column_of(s): shifted_scenes(scenes, self.seed, s, number) for s in SHIFTS}

    def partition(self, strategy: str) -> Partition:
        """Label groups of a strategy; random ones are equal in size."""
        labels = self.learning[1]
        # The names of random streams are those of the committed rows.
        stream = derive_seed(self.seed, f"partition_{strategy}")
        if strategy.startswith("random"):
            return random_partition(labels.space, [len(labels.space) // PARTS] * PARTS, stream)
        exponent = self.parameters.partition.exponents[strategy]  # type: ignore[index]
        statistics = count_labels(labels.in_split("train").states, labels.space)
        return partition_labels(statistics, strategy, PARTS, exponent, stream)


def shifted_scenes(
    scenes: SyntheticOptions, seed: int, shift: float, number: int
) -> tuple[ImageStore, LabelMatrix]:
    """Draw scenes with an interpolated probability of an object of another community.

    At `shift` 0 it is that of the training scenes, at 1 that of a community chosen at random.
    """
    # With n communities an independent object is of another one with probability 1 − 1/n.
    trained, independent = scenes.cross_probability, 1 - 1 / scenes.num_communities
    probability = trained + shift * (independent - trained)
    changes = {"num_images": number, "cross_probability": probability, "label_noise": 0.0}
    return _draw(scenes, derive_seed(seed, f"test {shift}"), **changes)


def _draw(scenes: SyntheticOptions, seed: int, **changes: Any) -> tuple[ImageStore, LabelMatrix]:
    raw, _ = draw_scenes(scenes.model_copy(update=changes), seed)
    pixels = np.empty((len(raw), scenes.size, scenes.size, 3), dtype=np.uint8)
    decode_sources(raw.sources, scenes.size, pixels)
    return ImageStore.from_arrays(raw.labels.ids, pixels), raw.labels


def _score(trainings: Trainings, scenes: SceneSets, models: Sequence[Trained]) -> dict[str, float]:
    """The mAP on the validation images and on every set of test images."""
    (images, labels), figures = scenes.learning, {}
    rows = labels.rows("validation")
    logits = trainings.predict(models, images, rows)
    figures["validation mAP"] = mean_average_precision(logits, labels.states[rows])
    for column, (shifted, truth) in scenes.tests.items():
        logits = trainings.predict(models, shifted, np.arange(len(shifted)))
        figures[column] = mean_average_precision(logits, truth.states)
    return {column: round(100 * value, 3) for column, value in figures.items()}


def column_of(shift: float) -> str:
    """Name of the column of a shift."""
    return f"test mAP at shift {shift:g}" if shift else "test mAP"


def _student(name: str) -> Setting:
    return f"student: {name}", 0 if name.startswith("full-label") else PARTS, DISTILLER


def claims(rows: DataFrame) -> list[Claim]:
    """Gains as trained, and where co-occurrence is broken (shift 1)."""
    others = {
        "baseline": BASELINE,
        "full_label_of_equal_cost": _student("full-label × 6"),
        "random_groups": _student("random + random"),
    }
    columns = {"as_trained": "mAP", "cooccurrence_broken": "mAP at shift 1"}
    ours = _student("CGP + DGP")
    return [
        gain_claim(rows, f"groups_above_{name}_{place}", ours, other, column=column)
        for name, other in others.items()
        for place, column in columns.items()
    ]
