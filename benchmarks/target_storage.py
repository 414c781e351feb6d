"""What the formats of stored logits cost the student: loss, gradient and mAP, on Corel5k.

    python benchmarks/target_storage.py --corel FOLDER --weights FILE --write

For each seed the joint teachers of CGP and DGP write their logits in float16. The same logits are
then stored in each format, joined by the product's node, and a student learns from them; all else
is equal. "loss" and "gradient" compare the soft terms of a format with those of float16 on the
training images, for the student of float16: the relative error of the mean binary divergence, and
the sum of the errors of its gradient over the sum of the gradient, both in absolute values. Bytes
are those of one view of one image in one strategy. The images, the words and the fixed test split
are those of `known_labels.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from calibration_study.logits import load
from common import Claim, emit
from gain.datasets import CACHE, StudyData
from gain.harness import config_hash
from gain.product import Team, Trained, Trainings
from known_labels import read_words
from numpy.typing import NDArray
from scipy.special import expit, rel_entr
from scipy.stats import t as student_t

from mlic.caching.code_version import training_code_version
from mlic.config.parameters import Parameters
from mlic.distillation.storage import decode_logits, encode_logits, stored_as
from mlic.distillation.targets import SoftTargets, TeacherLogits
from mlic.evaluation.metrics import mean_average_precision
from mlic.pipelines.data_preparation.nodes import decode_images, split_images
from mlic.pipelines.distillation.nodes import join_logits
from mlic.training.inputs import TrainingInputs
from mlic.training.predict import predict_checkpoint, predict_training_views

USUAL = "float16"
FORMATS = (USUAL, "uint8", "top_32", "top_8")
EPOCHS, IMAGE_SIZE, VIEWS = 8, 64, 4
LOSS_GOAL, MAP_GOAL = 0.01, 0.5  # of uint8: share of the loss; points of mAP lost at most
BIG = (1, 10_000_000, 1000)  # one view of ten million images, a thousand labels


def main() -> None:
    """Measure all that is missing, print and write."""
    options = parse()
    torch.set_num_threads(1)  # figures depend to the last bit on the number of threads
    seeds = [1] if options.quick else list(range(1, options.seeds + 1))
    found = {seed: list(measure(seed, options)) for seed in seeds}
    every = [row for rows in found.values() for row in rows]
    emit(
        __file__, [summarise(every, name) for name in FORMATS], claims(every, seeds), options.write
    )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corel", type=Path, required=True, help="folder of corel5k_train.parquet")
    parser.add_argument("--weights", type=Path, required=True, help="ImageNet weights")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one seed, one epoch, few images")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    return parser.parse_args()


def measure(seed: int, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row for each format."""
    trainings = prepare(seed, options)
    team = trainings.team(Team("joint", ("cgp", "dgp")))
    labels, usual = trainings.inputs["labels"], None
    test = labels.in_split("test")
    for name in FORMATS:
        stored = Trained((), tuple(store_as(one, name) for one in team.logits))
        student = trainings.student(name, [stored], parameters(options).distillation)
        joined = join_logits(labels, trainings.folder / f"joined_{name}", *stored.logits)
        if usual is None:
            usual = joined, own_logits(trainings, student)
        logits = predict_checkpoint(
            student.checkpoints[0],
            trainings.inputs["images"],
            labels.rows("test"),
            trainings.inputs["training"],
        )
        row = {"format": name, "seed": seed, "bytes": count_bytes(name, (1, 1, len(labels.space)))}
        row |= compare(joined, *usual)
        row["mAP"] = 100 * mean_average_precision(logits, test.states)
        print(row, flush=True)
        yield row


def prepare(seed: int, options: argparse.Namespace) -> Trainings:
    """Trainings of one seed, kept in a folder of their own."""
    p = parameters(options)
    key = {"p": p.model_dump(mode="json"), "code": training_code_version()}
    folder = CACHE.parent / "mlic_target_storage" / config_hash(key)
    raw = read_words(options.corel, 20 if options.quick else 1)
    images, quarantine = decode_images(raw, p.data, folder / "images")
    labels = split_images(raw, quarantine, p.data, seed)
    cut = partial(StudyData(labels).partition, parts=p.partition.num_parts, seed=seed)
    inputs = {"images": images, "labels": labels, "data": p.data, "model": p.model}
    inputs |= {"training": p.training, "seed": seed, "embeddings": None}
    return Trainings(inputs, cut, folder / str(seed))


def parameters(options: argparse.Namespace) -> Parameters:
    """Parameters of the study of Corel5k, with small images."""
    p = load("Corel5k", options.quick, options.weights)
    augmentation = p.training.augmentation.model_copy(update={"views": VIEWS})
    training: dict[str, Any] = {"augmentation": augmentation, "threads": 1}
    training |= {} if options.quick else {"epochs": EPOCHS}
    data: dict[str, Any] = {"image_size": IMAGE_SIZE, "store_size": None}
    data |= {"drop_labels_below": 1} if options.quick else {}
    changes = {"training": p.training.model_copy(update=training)}
    return p.model_copy(update={**changes, "data": p.data.model_copy(update=data)})


def store_as(logits: TeacherLogits, name: str) -> TeacherLogits:
    """Store a teacher's logits in another format."""
    values = decode_logits(np.asarray(logits.values), len(logits.space))
    _, dtype = stored_as(name, values.shape)
    # The name of the weights takes part in the fingerprint of the targets.
    return replace(logits, values=encode_logits(values, dtype), format=name, folder=None)


def own_logits(trainings: Trainings, student: Trained) -> NDArray[np.float32]:
    """Logits of a student for the first view of the training images; shape (n, C)."""
    job = TrainingInputs(**trainings.inputs).make_job("student", "student")
    # there are fewer images than a block has
    return next(predict_training_views(job, student.checkpoints[0]))


def compare(ours: SoftTargets, usual: SoftTargets, own: NDArray[np.float32]) -> dict[str, float]:
    """Relative errors of the soft loss and of its gradient in the first view."""
    z = np.float64(own)
    losses, gradients = [], []
    for targets in (usual, ours):
        found = [np.float64(targets.read_view(name, 0)) for name in targets.strategies]
        losses.append(np.mean([divergence(t, z).mean() for t in found]))
        gradients.append(np.stack([expit(z) - expit(t) for t in found]))
    wrong = np.abs(gradients[1] - gradients[0]).sum() / np.abs(gradients[0]).sum()
    return {"loss": float(abs(losses[1] / losses[0] - 1)), "gradient": float(wrong)}


def divergence(teacher: NDArray[np.float64], student: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kullback–Leibler divergence of each label."""
    pairs = ((expit(s * teacher), expit(s * student)) for s in (1, -1))
    return np.asarray(sum(rel_entr(t, z) for t, z in pairs))


def count_bytes(name: str, size: tuple[int, int, int]) -> int:
    """Bytes of logits of shape (views, n, C)."""
    shape, dtype = stored_as(name, size)
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


def summarise(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Means over the seeds, with their spread."""
    own = [row for row in rows if row["format"] == name]
    size = f"{count_bytes(name, BIG) / 1e9:.2f}"
    about = {"format": name, "bytes": own[0]["bytes"], "GB of 10 M images, 1,000 labels": size}
    for key in ("loss", "gradient"):
        about[f"{key} error"] = f"{100 * np.mean([row[key] for row in own]):.3f} %"
    values = [row["mAP"] for row in own]
    deviation = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
    return {**about, "mAP of the student": f"{np.mean(values):.2f}{deviation}"}


def claims(rows: list[dict[str, Any]], seeds: list[int]) -> list[Claim]:
    """Errors of the loss, and paired differences of test mAP with their 95 % interval."""
    made = []
    for name in FORMATS[1:]:
        own = [row for row in rows if row["format"] == name]
        usual = [row for row in rows if row["format"] == USUAL]
        loss = max(row["loss"] for row in own)
        made.append(
            Claim(f"{name}: error of the soft loss, largest of the seeds", loss, "of 1",
                  f"<= {LOSS_GOAL}", loss <= LOSS_GOAL, seeds)
        )  # fmt: skip
        lost = np.array([a["mAP"] - b["mAP"] for a, b in zip(own, usual, strict=True)])
        half = 0.0
        if len(lost) > 1:
            error = lost.std(ddof=1) / np.sqrt(len(lost))
            half = float(student_t.ppf(0.975, len(lost) - 1) * error)
        least = float(lost.mean()) - half
        unit = f"points of mAP, ± {half:.2f} (95 %)"
        made.append(
            Claim(f"{name} − {USUAL}", float(lost.mean()), unit,
                  f"interval above −{MAP_GOAL}", least > -MAP_GOAL, seeds)
        )  # fmt: skip
    return made


if __name__ == "__main__":
    main()
