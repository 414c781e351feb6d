"""Fine-tuning studies: the backbone trained end to end on Corel5k, or on a few images per class.

Hyper-parameters were chosen on validation images of seeds that the studies do not use;
`results/psd_gain/lessons.md` lists what was tried.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from math import ceil
from typing import Any

import numpy as np

from gain import claims
from gain.claims import LONGER_STUDENT, OURS
from gain.comparison import LONGER, Setting
from gain.datasets import CACHE, StudyData, few_per_class, load_corel, load_merced, score
from gain.harness import RowStore, Study, training_folder
from gain.product import Measurement, Team, Trained, Trainings
from mlic.images.options import DataOptions
from mlic.models.options import ModelOptions
from mlic.pipelines.data_preparation.nodes import decode_images
from mlic.training.distillation_options import DistillationOptions
from mlic.training.options import TrainingOptions
from mlic.utils.seeds import derive_seed

SEEDS, SEPARATE_SEEDS = 6, 3
PARTS = 3
SHORT = 1 / 2  # share of the epochs that teachers of a "short" ensemble are trained for
EVERY = 20  # with --quick, one image in this many
TRAINING: dict[str, Any] = {
    "epochs": 12,
    "teacher_epoch_factor": 1.0,
    "student_epoch_factor": 1.0,
    "batch_size": 32,
    "learning_rate": 2e-3,
    "ema_decay": 0.998,
    "augmentation": {"views": 8},
    "threads": 1,
}
MERCED = {
    f"ucmerced_{number}": {
        **TRAINING,
        "epochs": epochs,
        "batch_size": 16,
        "learning_rate": 5e-4,
        "ema_decay": 0.99,
    }
    for number, epochs in ((5, 120), (10, 80), (20, 60))  # images per class
}
# The mean KL divergence of a cell is 3 to 10 times its asymmetric loss. With equal weights a
# student hears too little of the truth and ends 1 to 3 points lower.
STUDENTS: dict[str, dict[str, Any]] = {
    "binary_kl": {"hard_weight": 1.0, "soft_weight": 0.3},
    "logit_mse": {"distiller": {"name": "logit_mse"}},
}
BASE, SECOND = Team("baseline"), Team("full_label")
JOINT = Team("joint", ("cgp", "dgp"))
ENSEMBLES: dict[str, tuple[Team, ...]] = {  # in the order in which they are measured
    "full-label × 1": (BASE,),
    "CGP + DGP": (JOINT,),
    "random + random": (Team("joint", ("random", "random_2")),),
    "full-label + CGP + DGP": (BASE, JOINT),
    "full-label × 2": (BASE, SECOND),
    "frozen-trunk CGP + DGP": (
        Team("frozen", ("cgp",), trunk=BASE),
        Team("frozen", ("dgp",), trunk=SECOND),
    ),
    "CGP": (Team("joint", ("cgp",)),),
    "DGP": (Team("joint", ("dgp",)),),
    "short full-label + CGP + DGP": (BASE, JOINT),
    "short full-label × 2": (BASE, SECOND),
    "separate CGP + DGP": (Team("separate", ("cgp", "dgp")),),
}
FIRST = ("full-label × 1", "CGP + DGP", "random + random")  # what the main claims need
COMMITS = dict(
    finetune="c4831b0", ucmerced_5="548914a", ucmerced_10="8ae94ee", ucmerced_20="0d0017c"
)
NOTE = (
    "The rows were measured at commit {}. Costs are seconds of a processor, in those of the "
    "baseline; most costs of `finetune` were timed in turns on an idle machine at commit b78dd92 "
    "(`finetune_costs.json`). [Lessons](lessons.md) say in which seeds new rows would differ."
)


def make_study(options: argparse.Namespace) -> Study:
    """One of the fine-tuning studies, by ``options.study``."""
    return Study(
        name=options.study,
        configuration=configure(options),
        seeds=SEEDS,
        measure=partial(_measure_seed, options=options),
        claims=claims.claims,
        ingredients=claims.ingredients,
        note=NOTE.format(COMMITS[options.study]),
    )


def configure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that decides the rows of a study; one epoch each to try whether all works."""
    training = MERCED.get(options.study, TRAINING)
    if options.quick:
        training = {**training, "epochs": 1, "augmentation": {"views": 1}}
    return {
        "study": options.study,
        "training": training,
        "students": STUDENTS,
        "parts": PARTS,
        "data": {"source": "catalog", "image_size": 96, "store_size": 112},
        "model": {"backbone": "mobilenetv2_035", "backbone_options": {"pad_type": "same"}},
        "every": EVERY if options.quick else 1,
    }


def _measure_seed(store: RowStore, seed: int, options: argparse.Namespace) -> None:
    config = configure(options)
    inputs, data = _load_inputs(options, config, seed)
    folder = training_folder(options.study, config, seed)
    trainings = Trainings(inputs, partial(data.partition, parts=PARTS, seed=seed), folder)
    one = Measurement(store, trainings, partial(_score, trainings, data))
    if options.quick:
        measure(one, FIRST)
    elif options.study in MERCED:
        measure(one, (*FIRST, "full-label + CGP + DGP"))
    else:
        last = None if seed < SEPARATE_SEEDS else -1  # separate teachers take the longest
        measure(one, list(ENSEMBLES)[:last], published=True)


def measure(one: Measurement, names: Sequence[str], published: bool = False) -> None:
    """Measure the named ensembles, their students and the budget-matched models of one seed."""
    soft = {name: DistillationOptions.model_validate(own) for name, own in STUDENTS.items()}
    one.baseline()
    for name in names:
        short = one.trainings.with_epochs(max(1, round(SHORT * one.trainings.epochs)))
        teachers = short if name.startswith("short") else None
        for distiller in soft if published and name in FIRST[:2] else ("binary_kl",):
            student = _student(name, distiller), soft[distiller]
            one.ensemble(name, ENSEMBLES[name], student, teachers)
        if name == FIRST[-1]:  # what the budget is made of has been measured
            _spend_budget(one, soft["binary_kl"])


def _student(name: str, distiller: str = "binary_kl") -> Setting:
    return f"student: {name}", 0 if "full-label ×" in name else PARTS, distiller


def _spend_budget(one: Measurement, soft: DistillationOptions) -> None:
    """Measure models of all labels for all the time that CGP + DGP and their student take."""
    budget, epochs = one.spent((OURS, PARTS, "binary_kl")), one.trainings.epochs
    if one.store.lacks((LONGER, PARTS, ""), one.seed):
        made = [one.trainings.with_epochs(ceil(budget * epochs)).baseline]
        one.keep((LONGER, PARTS, ""), made, one.cost(made))
    if one.store.lacks(LONGER_STUDENT, one.seed):
        # The teacher stays as it is, and its student is trained for the rest of the time.
        teacher = [one.trainings.team(BASE)]
        taught = one.cost(teacher)
        usual = one.spent(_student("full-label × 1")) - taught
        longer = one.trainings.with_epochs(max(1, round((budget - taught) / usual * epochs)))
        made = [longer.student("full-label × 1", teacher, soft)]
        one.keep(LONGER_STUDENT, made, taught + one.cost(made))


def _score(trainings: Trainings, data: StudyData, models: Sequence[Trained]) -> dict[str, float]:
    images, figures = trainings.inputs["images"], {}
    for split in ("validation", "test"):
        logits = trainings.predict(models, images, data.labels.rows(split))
        found = score(logits, data, split)
        figures |= {f"{split} {column}": value for column, value in found.items()}
    return figures


def _load_inputs(
    options: argparse.Namespace, config: dict[str, Any], seed: int
) -> tuple[dict[str, Any], StudyData]:
    """What every training node takes, and the labels with what the tables are about."""
    raw = load_merced(options.merced) if options.study in MERCED else load_corel(options.folder)
    labels, sizes = raw.labels, DataOptions.model_validate(config["data"])
    images, _ = decode_images(raw, sizes, CACHE / f"{labels.fingerprint}_{sizes.side}")
    if options.study in MERCED:
        number = int(options.study.partition("_")[2])
        # The name of the random stream is that of the committed rows.
        data = StudyData(few_per_class(labels, number, derive_seed(seed, "pictures")), 1)
    else:
        kept = np.arange(len(labels.ids)) % config["every"] == 0
        data = StudyData(labels.with_split(np.where(kept, labels.split, "")))
    inputs = {
        "images": images,
        "labels": data.labels,
        "data": sizes,
        "model": ModelOptions(**config["model"], weights=str(options.weights)),
        "training": TrainingOptions.model_validate(config["training"]),
        "seed": seed,
    }
    return inputs, data
