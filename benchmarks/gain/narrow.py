"""Narrow study: the backbone fine-tuned end to end, every row in the product's fast mode."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from math import ceil
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from common import Claim

from gain.config import MERCED, NARROW
from gain.corel import Words, decode, load_corel
from gain.features import mobilenet
from gain.figures import draw_gain_by_cost
from gain.finetuned import Ground, Models
from gain.merced import few_of_each, load_merced
from gain.report import BASELINE, best, cost_of, gain_claim, settings
from gain.rows import RowStore, config_hash
from gain.scoring import judge
from mlic.seeds import derive_seed
from mlic.training.options import DistillationOptions, TrainingOptions

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    import plotly.graph_objects as go

    from gain.config import Narrow
    from gain.finetuned import Said
    from gain.report import Setting
    from gain.rows import Row
    from mlic.images.raw import RawPictures

__all__ = ["claims", "figures", "run"]

SEEDS, SLOW_SEEDS = 6, 3
IMAGE_SIZE, STORE_SIZE = 96, 112
THINNED = 10  # to be quick, one picture in so many
# Teams of every committee: a plain model by its number, or how groups are trained and which.
COMMITTEES: dict[str, tuple[str, ...]] = {
    "plain × 1": ("plain_0",),
    "CGP + DGP": ("joint cgp dgp",),
    "random + random": ("joint random random_2",),
    "plain × 2": ("plain_0", "plain_1"),
    "grown CGP + DGP": ("frozen@0 cgp", "frozen@1 dgp"),
    "plain + CGP + DGP": ("plain_0", "joint cgp dgp"),
    "CGP": ("joint cgp",),
    "DGP": ("joint dgp",),
}
SLOW = {
    "slow CGP + DGP": ("separate cgp dgp",),
    "slow random + random": ("separate random random_2",),
}
QUICK = ("plain × 1", "random + random", "CGP + DGP")  # what the claims need
PUBLISHED = ("CGP + DGP", "plain × 1")  # committees that the published distiller learns from, too
LONGER = "baseline with PSD's budget"
HELD = ("validation", "test")
CONTEXT = "out_of_context_mAP"
GOAL, DEAREST = 2.0, 2.5  # points above the baseline, at so many times its cost


class Study:
    """The rows of one seed."""

    def __init__(self, store: RowStore, config: Narrow, models: Models) -> None:
        self.store, self.config, self.models = store, config, models
        self.unit = float(models.plain(0)["seconds"][0])

    def make(self, committees: Sequence[str]) -> None:
        """Make the rows that are not there yet, the claims' first."""
        self._keep(BASELINE, self.models.plain(0), 1.0)
        for name in committees:
            self._committee(name, ["binary_kl"])
        self._longer()
        for name in PUBLISHED:
            self._committee(name, [d for d in self.config.students if d != "binary_kl"])

    def _committee(self, name: str, distillers: Sequence[str]) -> None:
        teams = (COMMITTEES | SLOW)[name]
        parts = 0 if all(team.startswith("plain") for team in teams) else self.config.parts
        together: Setting = (f"together: {name}", parts, "")
        students: list[Setting] = [(f"student: {name}", parts, d) for d in distillers]
        missing = [one for one in [together, *students] if self._lacks(one)]
        if not missing:
            return
        heard = self._hear(teams)
        if name != "plain × 1":
            held = {s: np.mean([one[s] for one in heard.values()], axis=0) for s in HELD}
            self._keep(together, held, self._cost(teams, heard))
        for setting in students:
            if setting in missing:
                options = DistillationOptions.model_validate(self.config.students[setting[2]])
                said = self.models.student(heard, options)
                taught = self._cost(teams, heard, telling=True)
                self._keep(setting, said, taught + self._trained(said))

    def _longer(self) -> None:
        """A plain model for all the time that CGP + DGP and their student take."""
        setting: Setting = (LONGER, self.config.parts, "")
        if self._lacks(setting):
            ours = ("student: CGP + DGP", self.config.parts, "binary_kl")
            cost = next(row["cost"] for row in self._own_rows() if _setting(row) == ours)
            said = self.models.longer(ceil(cost * self.models.ground.options.epochs))
            self._keep(setting, said, self._trained(said))

    def _hear(self, teams: Sequence[str]) -> dict[str, Said]:
        heard: dict[str, Said] = {}
        for team in teams:
            mode, *strategies = team.split()
            if strategies:
                heard |= self.models.groups(mode, strategies)
            else:
                heard[team] = self.models.plain(int(team.removeprefix("plain_")))
        return heard

    def _cost(self, teams: Sequence[str], heard: dict[str, Said], telling: bool = False) -> float:
        """Of all that is trained before the student, in baselines."""
        cost = sum(self._trained(said) for said in heard.values())
        if telling:
            cost += sum(float(said["seconds"][1]) for said in heard.values()) / self.unit
        bases = [int(team.split()[0][-1]) for team in teams if team.startswith("frozen")]
        return cost + sum(self._trained(self.models.plain(base)) for base in bases)

    def _trained(self, said: Said) -> float:
        return float(said["seconds"][0]) / self.unit

    def _own_rows(self) -> list[Row]:
        return [row for row in self.store.rows() if row["seed"] == self.models.seed]

    def _lacks(self, setting: Setting) -> bool:
        return self.store.lacks(*setting, [self.models.seed])

    def _keep(self, setting: Setting, said: Any, cost: float) -> None:
        name, parts, distiller = setting
        row: Row = {"row": name, "parts": parts, "distiller": distiller}
        row |= {"seed": self.models.seed, "cost": round(cost, 3)}
        words = self.models.ground.words
        self.store.add([row | {split: judge(said[split], words, split) for split in HELD}])


def load_ground(options: argparse.Namespace, config: Narrow, seed: int) -> Ground:
    """Pictures and words of a study; one thread a training."""
    words, raw = load_words(options, seed)
    return Ground(
        pictures=decode(raw, "ucmerced" if options.study in MERCED else "corel5k", STORE_SIZE),
        words=words,
        image_size=IMAGE_SIZE,
        model=mobilenet(options.weights),
        options=TrainingOptions.model_validate({**config.options, "threads": 1}),
        parts=config.parts,
    )


def load_words(options: argparse.Namespace, seed: int) -> tuple[Words, RawPictures]:
    """Corel5k, to be quick a few pictures of it, or so many a class of UC Merced."""
    if options.study in MERCED:
        raw, few = load_merced(options.merced), options.study.partition("_")[2]
        return Words(few_of_each(raw.labels, int(few), derive_seed(seed, "pictures")), least=1), raw
    raw = load_corel(options.folder)
    labels = raw.labels
    if options.quick:
        split = np.where(np.arange(len(labels.ids)) % THINNED == 0, labels.split, "")
        labels = labels.with_split(split)
    return Words(labels), raw


def run(options: argparse.Namespace, path: Path) -> RowStore:
    """Make all rows that are not there yet."""
    config = settings_of(options)
    store = RowStore(path, config_hash(config, IMAGE_SIZE, options.study, options.quick))
    tasks = [(options, store, seed) for seed in range(options.seeds or SEEDS)]
    if options.workers == 1:
        for task in tasks:
            _run_seed(task)
    else:
        with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
            list(pool.map(_run_seed, tasks))
    return store


def settings_of(options: argparse.Namespace) -> Narrow:
    """How models are trained in a study; one epoch each to see that all works."""
    config = MERCED.get(options.study, NARROW)
    if not options.quick:
        return config
    return replace(config, options={**config.options, "epochs": 1, "augmentation": {"views": 1}})


def _run_seed(task: tuple[argparse.Namespace, RowStore, int]) -> None:
    options, store, seed = task
    torch.set_num_threads(1)
    config = settings_of(options)
    study = Study(store, config, Models(load_ground(options, config, seed), seed))
    committees = list(COMMITTEES) + list(SLOW) * (seed < SLOW_SEEDS)
    study.make(QUICK if options.quick or options.study in MERCED else committees)


def claims(rows: Sequence[Row]) -> list[Claim]:
    """What the rows say, settings chosen on validation, figures taken on test pictures."""
    ours = best(rows, lambda one: one[0] == "student: CGP + DGP")
    random, plain = ("student: random + random", *ours[1:]), ("student: plain × 1", 0, ours[2])
    alone = ("together: CGP + DGP", ours[1], ""), ("together: random + random", ours[1], "")
    cheap = best(rows, lambda one: _student(one) and cost_of(rows, one) <= DEAREST)
    slow = ("student: slow CGP + DGP", *ours[1:])
    found = [
        gain_claim("student_above_baseline", rows, cheap, BASELINE, GOAL),
        gain_claim("groups_above_baseline", rows, ours, BASELINE, GOAL),
        gain_claim("groups_above_longer_baseline", rows, ours, (LONGER, ours[1], "")),
        gain_claim("groups_above_plain_of_equal_cost", rows, ours, plain),
        gain_claim("groups_above_random_groups", rows, ours, random),
        gain_claim("teachers_of_groups_above_random", rows, *alone),
        gain_claim("groups_above_plain_out_of_context", rows, ours, plain, column=CONTEXT),
    ]
    if slow in settings(rows):
        found.append(gain_claim("slow_above_fast_groups", rows, slow, ours))
    return found


def figures(rows: Sequence[Row]) -> dict[str, go.Figure]:
    """Gain against cost of all students, and of longer training."""
    series = {
        "longer baseline": lambda one: one[0] in (LONGER, BASELINE[0]),
        "students of plain models": lambda one: one[0].startswith("student: plain ×"),
        "students of random groups": lambda one: _student(one) and "random" in one[0],
        "students of label groups": lambda one: _student(one) and "GP" in one[0],
    }
    return {"gain_by_cost": draw_gain_by_cost(rows, series)}


def _student(setting: Setting) -> bool:
    return setting[0].startswith("student")


def _setting(row: Row) -> Setting:
    return row["row"], row["parts"], row["distiller"]
