"""What the rows of the narrow study cost, in baselines: all kinds of training timed in turns.

Seconds that rows took beside other processes are a coarse measure. Here one process trains every
kind on few images, for few and for more epochs, so that what a training costs once falls out;
rounds of all kinds follow one another, and the median over rounds counts.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from common import header, table

from gain.config import NARROW
from gain.finetuned import Models
from gain.narrow import COMMITTEES, OURS, SHORT, load_ground
from mlic.training.options import DistillationOptions

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gain.finetuned import Ground

__all__ = ["measure_costs", "price"]

ROUNDS = 5
FEW, MORE = 1, 4  # epochs
THINNED = 8  # one image in so many
TEAMS = ("full_label_0", "joint cgp", "joint dgp", "joint cgp dgp", "joint random random_2")
HEARD = {
    1: ("full_label_0",),
    2: ("cgp", "dgp"),
    3: ("full_label_0", "cgp", "dgp"),
}  # by a student, so many

Seconds = dict[str, float]
"""Of a processor: an epoch of a team or of a student, ``tell <team>``: to tell all views once."""


def measure_costs(options: argparse.Namespace, path: Path) -> None:
    """Print the costs; write them beside the rows if so wanted."""
    torch.set_num_threads(1)
    rounds = 1 if options.quick else ROUNDS
    timed = [_round(options, seed) for seed in range(rounds)]
    seconds = {name: median(one[name] for one in timed) for name in timed[0]}
    costs = price(seconds, NARROW.options["epochs"])
    spread = {name: [round(one[name], 3) for one in timed] for name in timed[0]}
    print(table([{"row": name, "cost": f"{cost:.2f}"} for name, cost in costs.items()]))
    if options.write:
        about: dict[str, Any] = {"header": header(), "costs": costs, "seconds": spread}
        path.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def price(seconds: Mapping[str, float], epochs: int) -> dict[str, float]:
    """Costs in baselines of the committees that were timed, and of their students.

    Examples
    --------
    >>> seconds = {name: 1.0 for team in TEAMS for name in (team, f"tell {team}")}
    >>> seconds |= {f"student of {number}": 1.0 for number in HEARD}
    >>> costs = price(seconds, epochs=10)
    >>> costs["student: plain × 1"], costs["student: short plain × 2"]
    (2.1, 2.2)
    """
    costs = {}
    for name, teams in COMMITTEES.items():
        bare = [_timed(team) for team in teams]
        if not set(bare) <= set(TEAMS):
            continue
        lasting = [epochs * (SHORT if team.startswith("short") else 1) for team in teams]
        trained = sum(seconds[team] * own for team, own in zip(bare, lasting, strict=True))
        told = sum(seconds[f"tell {team}"] for team in bare)
        number = sum(max(len(team.split()) - 1, 1) for team in bare)
        student = seconds[f"student of {number}"] * epochs
        costs[f"together: {name}"] = trained
        costs[f"student: {name}"] = trained + told + student
    unit = seconds["full_label_0"] * epochs
    return {name: round(cost / unit, 3) for name, cost in costs.items()}


def _timed(team: str) -> str:
    """The team that stands for one: plain models cost the same, whatever their number."""
    bare = team.removeprefix("short ")
    return "full_label_0" if bare.startswith("full_label") else bare


def _round(options: argparse.Namespace, seed: int) -> Seconds:
    """Every kind of training once, for few epochs and for more."""
    ground = _thinned(load_ground(options, NARROW, seed))
    with tempfile.TemporaryDirectory() as folder:
        few, more = (_models(ground, epochs, seed, folder) for epochs in (FEW, MORE))
        few.plain(1)  # a process's first training pays for its imports
        seconds: Seconds = {}
        heard: dict[str, Any] = {}
        for team in TEAMS:
            said = [_hear(models, team) for models in (few, more)]
            trained, told = (sum(one["seconds"] for one in own.values()) for own in said), said[1]
            first, second = (float(one[0]) for one in trained)
            seconds[team] = (second - first) / (MORE - FEW)
            seconds[f"tell {team}"] = float(sum(one["seconds"][1] for one in told.values()))
            heard |= told
        soft = DistillationOptions.model_validate(NARROW.students[OURS[2]])
        for number, names in HEARD.items():
            taught = {name: heard[name] for name in names}
            first, second = (float(m.student(taught, soft)["seconds"][0]) for m in (few, more))
            seconds[f"student of {number}"] = (second - first) / (MORE - FEW)
    return seconds


def _hear(models: Models, team: str) -> dict[str, Any]:
    mode, *strategies = team.split()
    return models.groups(mode, strategies) if strategies else {team: models.plain(0)}


def _models(ground: Ground, epochs: int, seed: int, folder: str) -> Models:
    options = ground.options.model_copy(update={"epochs": epochs})
    return Models(replace(ground, options=options), seed, Path(folder))


def _thinned(ground: Ground) -> Ground:
    """A part of the images, and all words."""
    labels = ground.words.labels
    split = np.where(np.arange(len(labels.ids)) % THINNED == 0, labels.split, "")
    return replace(ground, words=replace(ground.words, labels=labels.with_split(split)))
