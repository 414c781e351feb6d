"""Candidates for a larger gain, each seed with test images of its own: repeated k-fold on Corel5k.

All 4,500 training images of Corel5k are test images once in five seeds. All rows of a seed share
one split, so that differences are paired within a fold; their intervals cover seeds and images.
The candidates are compared on validation images by the first seeds, the standing claims on the test
images of all seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from math import ceil
from typing import Any

import numpy as np
from common import Claim
from numpy.typing import NDArray
from pandas import DataFrame

from gain.claims import DEFAULT, OURS
from gain.comparison import BASELINE, LONGER, Ingredient, Setting, difference, gain_claim, settings
from gain.datasets import CACHE, FEWEST, StudyData, read_corel, score
from gain.finetune import BASE, ENSEMBLES, EVERY, PARTS, STUDENTS, TRAINING
from gain.harness import RowStore, Study, training_folder
from gain.product import Measurement, Team, Trained, Trainings
from mlic.evaluation.metrics import average_precision
from mlic.images.options import DataOptions
from mlic.labels import LabelMatrix
from mlic.labels.split import stratified_split
from mlic.models.options import ModelOptions
from mlic.pipelines.data_preparation.nodes import decode_images
from mlic.training.distillation_options import AveragingOptions, DistillationOptions
from mlic.training.options import TrainingOptions
from mlic.utils.seeds import derive_seed

FOLDS, SEEDS, SCREENED = 5, 11, 3  # seeds of a complete study; seeds that compare the candidates
LEARNING = {"train": 7 / 8, "validation": 1 / 8}  # 3,150 and 450 of the 3,600 not in the fold
SIZES = (64, 96, 128)  # pixels, of a teacher of growing images
PROGRESSIVE = "growing images × 1"
CONFIRMED = ("linked", "controls")  # candidates that are measured with every seed
# Of baseline or student, as in SpliceMix. On seed 0, consistency took away points of validation
# mAP: 1.9 with the weight 0.1, and 19 with the weight 1.
SPLICE = {"share": 0.25}

KL = DistillationOptions.model_validate(STUDENTS["binary_kl"])
ALIKE = KL.model_copy(update={"start": "baseline"})
LINK = "linked binary_kl"
LINKED = {  # weight of the soft term: the linked divergence has a scale of its own
    LINK: KL.model_copy(update={"linked": True}),
    "linked binary_kl, weight 1": KL.model_copy(update={"linked": True, "soft_weight": 1.0}),
}
PLAIN: Setting = ("student: full-label × 1", 0, "binary_kl")
STANDING: dict[str, Setting] = {  # ensembles of the claims that are stated anew, and their students
    "full-label × 1": PLAIN,
    "CGP + DGP": (OURS, PARTS, "binary_kl"),
    "full-label + CGP + DGP": (DEFAULT, PARTS, "binary_kl"),
}
SAME_START: Setting = ("student: full-label × 1, from the baseline's start", 0, "binary_kl")
SOUP: Setting = ("student: soup of full-label × 1", 0, "binary_kl")
GROWING: Setting = (f"student: {PROGRESSIVE}", 0, "binary_kl")
SPLICED_BASELINE: Setting = ("baseline: spliced images", 0, "")
MATCHED: dict[Setting, Setting] = {  # baselines of the whole budget of a student
    (LONGER, 0, ""): (PLAIN[0], 0, LINK),
    (LONGER, PARTS, ""): STANDING["full-label + CGP + DGP"],
}
SPLICED: dict[str, Setting] = {  # students of full-label × 1
    name: ("student: full-label × 1, spliced images", 0, name) for name in ("binary_kl", LINK)
}
LARGER: Setting = ("baseline: larger images", 0, "")
GROWN_TEACHER: Setting = (f"ensemble: {PROGRESSIVE}", 0, "")


def make_study(options: argparse.Namespace) -> Study:
    """The study of all folds."""
    return Study(
        name=options.study,
        configuration=configure(options),
        seeds=SEEDS,
        measure=partial(_measure_seed, options=options),
        claims=claims,
        ingredients=ingredients,
        note="Each seed has test images of its own: five seeds are the five folds of one division "
        "of Corel5k's 4,500 training images. Intervals are those of the corrected t-test for "
        "repeated divisions (Nadeau and Bengio 2003), because the training images of the folds "
        "overlap. `mAP_few` is over labels with fewer than three test images, which count nowhere "
        "else. Costs are seconds of a processor, in those of the baseline.",
    )


def configure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that decides the rows; one epoch each to try whether all works."""
    quick = {"epochs": 1, "augmentation": {"views": 1}} if options.quick else {}
    return {
        "study": options.study,
        "folds": FOLDS,
        "training": TRAINING | quick,
        "students": STUDENTS,
        "parts": PARTS,
        # larger than in `finetune`: a crop of 60 % of the area still has about 112 pixels
        "data": {"source": "catalog", "image_size": 96, "store_size": 144},
        "model": {"backbone": "mobilenetv2_035", "backbone_options": {"pad_type": "same"}},
        "every": EVERY if options.quick else 1,
    }


def fold_split(states: NDArray[np.int8], seed: int) -> NDArray[np.str_]:
    """Split of one seed: fold number ``seed % 5`` of division ``seed // 5`` is the test split."""
    division, fold = divmod(seed, FOLDS)
    shares = {str(number): 1 / FOLDS for number in range(FOLDS)}
    is_test = stratified_split(states, shares, derive_seed(division, "folds")) == str(fold)
    split = np.full(len(states), "test", dtype="<U10")
    split[~is_test] = stratified_split(states[~is_test], LEARNING, derive_seed(seed, "learning"))
    return split


def _measure_seed(store: RowStore, seed: int, options: argparse.Namespace) -> None:
    config = configure(options)
    inputs, data = _load_inputs(options, config, seed)
    folder = training_folder(options.study, config, seed)
    trainings = Trainings(inputs, partial(data.partition, parts=PARTS, seed=seed), folder)
    one = Measurement(store, trainings, partial(_score, trainings, data))
    measure(one, tuple(CANDIDATES) if seed < SCREENED else CONFIRMED)


def measure(one: Measurement, names: Sequence[str]) -> None:
    """Measure the standing rows and the named candidates of one seed."""
    one.baseline()
    for name, student in STANDING.items():
        one.ensemble(name, ENSEMBLES[name], (student, KL))
    for name in names:
        CANDIDATES[name](one)


def _link(one: Measurement) -> None:
    one.ensemble("full-label × 1", (BASE,), ((PLAIN[0], 0, LINK), LINKED[LINK]))


def _link_more(one: Measurement) -> None:
    heavier = next(name for name in LINKED if name != LINK)
    one.ensemble("full-label × 1", (BASE,), ((PLAIN[0], 0, heavier), LINKED[heavier]))
    name = "full-label + CGP + DGP"
    one.ensemble(name, ENSEMBLES[name], ((DEFAULT, PARTS, LINK), LINKED[LINK]))


def _splice(one: Measurement) -> None:
    if one.store.lacks(SPLICED_BASELINE, one.seed):
        made = [one.trainings.with_splices("baseline", SPLICE).baseline]
        one.keep(SPLICED_BASELINE, made, one.cost(made))
    teacher, own = [one.trainings.team(BASE)], one.trainings.with_splices("student", SPLICE)
    for name, setting in SPLICED.items():
        if one.store.lacks(setting, one.seed):
            options = KL if name == "binary_kl" else LINKED[LINK]
            made = [own.student("full-label × 1", teacher, options)]
            one.keep(setting, made, one.cost(teacher) + one.cost(made))


def _average(one: Measurement) -> None:
    if not one.store.lacks(SOUP, one.seed):
        return
    teacher = [one.trainings.team(BASE)]
    student = one.trainings.student("full-label × 1, same start", teacher, ALIKE)
    cost = one.cost(teacher) + one.cost([student])
    one.keep(SAME_START, [student], cost)
    soup = one.trainings.soup(student, AveragingOptions(enabled=True))
    one.keep(SOUP, [soup], cost + one.cost([soup]))


def _grow(one: Measurement) -> None:
    sizes = one.trainings.with_sizes(SIZES)
    one.ensemble(PROGRESSIVE, (Team("full_label"),), (GROWING, KL), sizes)


def _control(one: Measurement) -> None:
    """Baselines that have what a student has more: larger images, or its whole budget."""
    if one.store.lacks(LARGER, one.seed):
        made = [one.trainings.with_image_size(SIZES[-1]).baseline]
        one.keep(LARGER, made, one.cost(made))
    for matched, student in MATCHED.items():
        if one.store.lacks(matched, one.seed):
            epochs = ceil(one.spent(student) * one.trainings.epochs)
            made = [one.trainings.with_epochs(epochs).baseline]
            one.keep(matched, made, one.cost(made))


CANDIDATES: dict[str, Callable[[Measurement], None]] = {
    "linked": _link,
    "linked otherwise": _link_more,
    "soup": _average,
    "progressive": _grow,
    "spliced": _splice,
    "controls": _control,
}


def _score(trainings: Trainings, data: StudyData, models: Sequence[Trained]) -> dict[str, float]:
    images, figures = trainings.inputs["images"], {}
    for split in ("validation", "test"):
        logits = trainings.predict(models, images, data.labels.rows(split))
        found = score(logits, data, split)
        figures |= {f"{split} {column}": value for column, value in found.items()}
    states = data.labels.in_split("test").states
    number = (states == 1).sum(axis=0)
    few = average_precision(logits, states)[(number > 0) & (number < FEWEST)]
    overlap = len(states) / len(data.labels.rows("train"))
    return figures | {"test mAP_few": round(100 * float(few.mean()), 3), "overlap": overlap}


def _load_inputs(
    options: argparse.Namespace, config: dict[str, Any], seed: int
) -> tuple[dict[str, Any], StudyData]:
    """What every training node takes, and the labels of one seed."""
    raw, sizes = read_corel(options.folder), DataOptions.model_validate(config["data"])
    images, _ = decode_images(raw, sizes, CACHE / f"{raw.labels.fingerprint}_{sizes.side}")
    labels = _divide(raw.labels, seed, config["every"])
    training = TrainingOptions.model_validate(config["training"])
    inputs = {
        "images": images,
        "labels": labels,
        "data": sizes,
        "model": ModelOptions(**config["model"], weights=str(options.weights)),
        "training": training,
        "seed": seed,
    }
    return inputs, StudyData(labels)


def _divide(labels: LabelMatrix, seed: int, every: int) -> LabelMatrix:
    """Labels with the split of a seed, without those that too few training images have."""
    split = fold_split(labels.states, seed)
    counts = (labels.states[split == "train"] == 1).sum(axis=0)
    kept = np.arange(len(split)) % every == 0
    frequent = np.flatnonzero(counts >= FEWEST).tolist()
    return labels.with_split(np.where(kept, split, "")).with_labels(frequent)


def claims(rows: DataFrame) -> list[Claim]:
    """The standing claims on test images, and how the candidates compare on validation images."""
    standing = [
        ("default_above_baseline", STANDING["full-label + CGP + DGP"], BASELINE, 2.0),
        ("groups_above_baseline", STANDING["CGP + DGP"], BASELINE, 0.0),
        ("self_distillation_above_baseline", PLAIN, BASELINE, 0.0),
        ("groups_above_self_distillation", STANDING["CGP + DGP"], PLAIN, 0.0),
    ]
    confirmed = [
        ("linked_above_baseline", (PLAIN[0], 0, LINK), BASELINE, 2.0),
        ("linked_above_raw", (PLAIN[0], 0, LINK), PLAIN, 0.0),
        ("linked_above_larger_images", (PLAIN[0], 0, LINK), LARGER, 0.0),
        *(
            (f"{name}_above_budget_matched_baseline", student, matched, 0.0)
            for name, (matched, student) in zip(("linked", "default"), MATCHED.items(), strict=True)
        ),
    ]
    linked: list[Setting] = [(PLAIN[0], 0, name) for name in LINKED]
    default = STANDING["full-label + CGP + DGP"]
    screened = [
        ("linked_above_raw", linked[0], PLAIN, 0.0),
        ("linked_with_weight_1_above_raw", linked[1], PLAIN, 0.0),
        ("linked_default_above_default", (*default[:2], linked[0][2]), default, 0.0),
        ("soup_above_student", SOUP, PLAIN, 0.0),
        ("soup_above_baseline", SOUP, BASELINE, 2.0),
        ("teacher_of_growing_images_above_baseline", GROWN_TEACHER, BASELINE, 2.0),
        ("student_of_growing_images_above_baseline", GROWING, BASELINE, 2.0),
        ("student_of_growing_images_above_student", GROWING, PLAIN, 0.0),
        ("spliced_baseline_above_baseline", SPLICED_BASELINE, BASELINE, 0.0),
        ("spliced_student_above_student", SPLICED["binary_kl"], PLAIN, 0.0),
        ("spliced_linked_student_above_spliced_baseline", SPLICED[LINK], SPLICED_BASELINE, 0.0),
        ("spliced_linked_student_above_baseline", SPLICED[LINK], BASELINE, 2.0),
    ]
    seeds, there = rows.index.get_level_values("seed"), settings(rows)
    first, fresh = rows[seeds < SCREENED], rows[seeds >= SCREENED]
    later = settings(fresh)
    return [
        *(gain_claim(rows, *one) for one in standing if {one[1], one[2]} <= {*there}),
        # by seeds that took no part in the choice
        *(gain_claim(fresh, *one) for one in confirmed if {one[1], one[2]} <= {*later}),
        *(_screen(first, *one) for one in screened if {one[1], one[2]} <= {*there}),
    ]


def _screen(rows: DataFrame, name: str, ours: Setting, other: Setting, least: float) -> Claim:
    value, half = difference(rows, ours, other, "validation mAP")
    seeds = sorted({*rows.loc[ours].index} & {*rows.loc[other].index})
    unit = f"points of validation mAP ± {half:.2f}"
    return Claim(f"screened: {name}", round(value, 3), unit, f"≥ {least:g}", value >= least, seeds)


def ingredients(rows: DataFrame) -> list[Ingredient]:
    """One step after the other."""
    link: Setting = (PLAIN[0], 0, LINK)
    return [
        ("distillation from one full-label model", PLAIN, BASELINE),
        ("DGP and CGP in addition", STANDING["full-label + CGP + DGP"], PLAIN),
        ("groups instead of the full-label teacher", STANDING["CGP + DGP"], PLAIN),
        ("what the logits mean instead of the logits", link, PLAIN),
        ("larger images for the baseline", LARGER, BASELINE),
        ("the start of the baseline instead of another", SAME_START, PLAIN),
        ("the average with the baseline", SOUP, SAME_START),
        ("a teacher of growing images instead of the baseline", GROWING, PLAIN),
        ("spliced images for the baseline", SPLICED_BASELINE, BASELINE),
        ("spliced images for the student", SPLICED["binary_kl"], PLAIN),
        ("spliced images for the linked student", SPLICED[LINK], link),
    ]
