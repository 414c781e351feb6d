"""Logits of models that were trained with several losses, kept as they are made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT
from gain.datasets import CACHE, StudyData, load_corel, load_merced
from gain.harness import config_hash
from gain.product import Team, Trained, Trainings
from numpy.typing import NDArray

from mlic.caching.code_version import training_code_version
from mlic.caching.tensors import load_tensors, save_tensors
from mlic.config.parameters import Parameters, check_parameters
from mlic.config.recipes import RecipeConfigLoader
from mlic.images.records import ImageRecords
from mlic.pipelines.data_preparation.nodes import decode_images, draw_synthetic_images, split_images
from mlic.training.options import Choice

ENVIRONMENTS = {"default": "base", "Corel5k": "corel5k", "UC Merced": "ucmerced"}
FOCAL = {"gamma_negative": 2.0, "gamma_positive": 2.0, "clip": 0.0, "focusing_gradient": True}
LOSSES = {
    "binary cross-entropy": Choice(name="binary_cross_entropy"),
    "asymmetric": Choice(name="asymmetric"),
    "asymmetric, gradient through weights": Choice(
        name="asymmetric", options={"focusing_gradient": True}
    ),
    "focal": Choice(name="asymmetric", options=FOCAL),
}
TAUGHT = "asymmetric"  # the loss of the students, which is the default
TEAMS = (Team("baseline"), Team("joint", ("cgp", "dgp")))


@dataclass(frozen=True)
class Logits:
    """Logits and states of one model's validation and test images; shape (n, C) each."""

    dataset: str
    model: str
    loss: Choice
    seed: int
    logits: dict[str, NDArray[np.float32]]  # by split
    states: dict[str, NDArray[np.int8]]  # by split


def make_logits(dataset: str, seed: int, quick: bool, folders: dict[str, Path]) -> Iterator[Logits]:
    """Train the models of one seed that are not kept yet, and give the logits of all."""
    parameters = load(dataset, quick, folders["weights"])
    folder = seed_folder(parameters, dataset, seed)
    wanted = {**{f"baseline, {name}": loss for name, loss in LOSSES.items()}}
    wanted[f"student, {TAUGHT}"] = LOSSES[TAUGHT]
    missing = [name for name in wanted if not (folder / f"{name}.safetensors").is_file()]
    if missing:
        _train(parameters, dataset, seed, folder, missing, folders)
    for name, loss in wanted.items():
        kept, _ = load_tensors(folder / f"{name}.safetensors")
        logits, states = (
            {split: kept[f"{kind}.{split}"] for split in ("validation", "test")}
            for kind in ("logits", "states")
        )
        yield Logits(dataset, name, loss, seed, logits, states)


def seed_folder(parameters: Parameters, dataset: str, seed: int) -> Path:
    """Folder of the trainings and logits of one seed."""
    key = config_hash(parameters.model_dump(mode="json"))
    name = f"{dataset}_{key}_{training_code_version()}_{seed}"
    return CACHE.parent / "mlic_calibration" / name


def load(dataset: str, quick: bool, weights: Path | None) -> Parameters:
    """Parameters of the data set's environment; with `quick`, one epoch and few images."""
    loader = RecipeConfigLoader(str(ROOT / "conf"), base_env="base", default_run_env="base")
    loader.env = ENVIRONMENTS[dataset]
    found = dict(loader["parameters"])
    found["training"] = {**found["training"], "threads": 1}
    if dataset != "default":
        found["model"] = {**found["model"], "weights": str(weights)}
    if quick:
        found["training"] |= {"epochs": 1, "augmentation": {"views": 1}}
        found["synthetic"] = {**found["synthetic"], "num_images": 300}
    return check_parameters(found)


def prepare(
    p: Parameters, dataset: str, seed: int, folder: Path, loss: Choice, folders: dict[str, Path]
) -> Trainings:
    """Images, labels and partitions of one seed, for trainings by the product's own nodes."""
    raw = _read(p, dataset, seed, folders)
    images, quarantine = decode_images(raw, p.data, folder / "images")
    labels = split_images(raw, quarantine, p.data, seed)
    training = p.training.model_copy(update={"loss": loss})
    inputs = {"images": images, "labels": labels, "data": p.data, "model": p.model}
    cut = partial(StudyData(labels).partition, parts=p.partition.num_parts, seed=seed)
    own = folder / f"trained_{config_hash(loss.model_dump())}"
    return Trainings({**inputs, "training": training, "seed": seed}, cut, own)


def train_student(trainings: Trainings, p: Parameters) -> tuple[Trained, list[Trained]]:
    """The student of the default committee, and its teachers."""
    teams = [trainings.team(team) for team in TEAMS]
    return trainings.student("all", teams, p.distillation), teams


def _train(
    p: Parameters,
    dataset: str,
    seed: int,
    folder: Path,
    missing: list[str],
    folders: dict[str, Path],
) -> None:
    """Train the missing models, and keep their logits."""
    for name in missing:
        trainings = prepare(p, dataset, seed, folder, LOSSES[name.partition(", ")[2]], folders)
        images, labels = trainings.inputs["images"], trainings.inputs["labels"]
        is_student = name.startswith("student")
        made = train_student(trainings, p)[0] if is_student else trainings.baseline
        arrays: dict[str, NDArray[Any]] = {}
        for split in ("validation", "test"):
            found = trainings.predict([made], images, labels.rows(split))
            arrays[f"logits.{split}"] = found.astype(np.float32)
            arrays[f"states.{split}"] = labels.in_split(split).states
        save_tensors(folder / f"{name}.safetensors", arrays, {})


def _read(p: Parameters, dataset: str, seed: int, folders: dict[str, Path]) -> ImageRecords:
    """Read or draw the images; each seed has its own validation images, and scenes of its own."""
    if dataset == "default":
        return draw_synthetic_images(p.synthetic, seed)[0]
    if dataset == "UC Merced":
        return load_merced(folders["merced"])
    raw = load_corel(folders["corel"])
    # The test images stay fixed; the split of the others is drawn by the seed of the run.
    split = np.where(raw.labels.split == "test", "test", "")
    return replace(raw, labels=raw.labels.with_split(split))
