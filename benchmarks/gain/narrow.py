"""Narrow study: the backbone fine-tuned end to end, every row in the product's fast mode."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import ceil
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
from gain.pool import spread
from gain.report import BASELINE, best, cost_of, gain_claim, settings, unbeaten_claim
from gain.rows import RowStore, config_hash
from gain.scoring import judge
from mlic.training.options import DistillationOptions, TrainingOptions
from mlic.utils.seeds import derive_seed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import plotly.graph_objects as go

    from gain.config import Narrow
    from gain.finetuned import Said
    from gain.report import Ingredients, Setting
    from gain.rows import Row
    from mlic.images.records import ImageRecords

__all__ = ["claims", "figures", "ingredients", "make_rows", "open_store"]

SEEDS, SLOW_SEEDS = 6, 3
IMAGE_SIZE, STORE_SIZE = 96, 112
THINNED = 20  # to be quick, one image in so many
# Teams of every committee: a plain model by its number, or how groups are trained and which; of
# "short" ones, teachers are trained for half the epochs.
COMMITTEES: dict[str, tuple[str, ...]] = {
    "plain × 1": ("full_label_0",),
    "CGP + DGP": ("joint cgp dgp",),
    "random + random": ("joint random random_2",),
    "plain × 2": ("full_label_0", "full_label_1"),
    "grown CGP + DGP": ("frozen@0 cgp", "frozen@1 dgp"),
    "plain + CGP + DGP": ("full_label_0", "joint cgp dgp"),
    "CGP": ("joint cgp",),
    "DGP": ("joint dgp",),
    "short plain + CGP + DGP": ("short full_label_0", "short joint cgp dgp"),
    "short plain × 2": ("short full_label_0", "short full_label_1"),
}
SHORT = 1 / 2
SLOW = {"slow CGP + DGP": ("separate cgp dgp",)}
LONGER = "baseline with PSD's budget"
LONGER_STUDENT = "student: plain × 1, for PSD's budget"
DEFAULT = "student: plain + CGP + DGP"  # the product's, whose plain teacher is the baseline
SHORT_PLAIN = "student: short plain × 2"
PUBLISHED = "published distiller"  # of CGP + DGP, and of a plain model
STAGES = (  # what is made first of all seeds, next, and so on
    ("plain × 1", "random + random", "CGP + DGP", LONGER),
    (LONGER_STUDENT, "plain × 2", PUBLISHED),
    ("grown CGP + DGP", "plain + CGP + DGP"),
    ("CGP", "DGP"),
    ("short plain + CGP + DGP", "short plain × 2"),
)
HELD = ("validation", "test")
OURS = ("student: CGP + DGP", 0, "binary_kl")  # with the study's K
CONTEXT = "out_of_context_mAP"
GOAL, DEAREST = 2.0, 2.5  # points above the baseline, at so many times its cost


class Study:
    """The rows of one seed."""

    def __init__(self, store: RowStore, config: Narrow, models: Models) -> None:
        self.store, self.config, self.models = store, config, models
        ground, epochs = models.ground, round(SHORT * models.ground.options.epochs)
        options = ground.options.model_copy(update={"epochs": epochs})
        self.short = Models(replace(ground, options=options), models.seed)
        self.unit = float(models.plain(0)["seconds"][0])

    def make(self, names: Sequence[str]) -> None:
        """Make the rows of committees and of longer trainings that are not there yet."""
        self._keep(BASELINE, self.models.plain(0), 1.0)
        others = {
            LONGER: self._longer,
            LONGER_STUDENT: self._longer_student,
            PUBLISHED: self._published,
        }
        for name in names:
            others.get(name, partial(self._committee, name, [OURS[2]]))()

    def _committee(self, name: str, distillers: Sequence[str]) -> None:
        teams = (COMMITTEES | SLOW)[name]
        parts = 0 if all("full_label" in team for team in teams) else self.config.parts
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
            budget = self._spent(self._ours)
            said = self.models.longer(ceil(budget * self.models.ground.options.epochs))
            self._keep(setting, said, self._trained(said))

    def _longer_student(self) -> None:
        """A student of one plain model that is trained for the rest of the same time."""
        setting: Setting = (LONGER_STUDENT, 0, OURS[2])
        if self._lacks(setting):
            heard = self._hear(COMMITTEES["plain × 1"])
            taught = self._cost(["full_label_0"], heard, telling=True)
            usual = self._spent(("student: plain × 1", 0, OURS[2])) - taught
            longer = (self._spent(self._ours) - taught) / usual
            epochs = max(1, round(longer * self.models.ground.options.epochs))
            options = DistillationOptions.model_validate(self.config.students[OURS[2]])
            said = self.models.student(heard, options, epochs=epochs)
            self._keep(setting, said, taught + self._trained(said))

    def _published(self) -> None:
        others = [distiller for distiller in self.config.students if distiller != OURS[2]]
        for name in ("CGP + DGP", "plain × 1"):
            self._committee(name, others)

    @property
    def _ours(self) -> Setting:
        return OURS[0], self.config.parts, OURS[2]

    def _spent(self, setting: Setting) -> float:
        """The cost of a row of this seed."""
        own = [row for row in self.store.rows() if row["seed"] == self.models.seed]
        return next(float(row["cost"]) for row in own if _setting(row) == setting)

    def _hear(self, teams: Sequence[str]) -> dict[str, Said]:
        heard: dict[str, Said] = {}
        for team in teams:
            name = team.removeprefix("short ")
            models = self.models if name == team else self.short
            mode, *strategies = name.split()
            if strategies:
                heard |= models.groups(mode, strategies)
            else:
                heard[name] = models.plain(int(name.removeprefix("plain_")))
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

    def _lacks(self, setting: Setting) -> bool:
        return self.store.lacks(*setting, [self.models.seed])

    def _keep(self, setting: Setting, said: Any, cost: float) -> None:
        name, parts, distiller = setting
        row: Row = {"row": name, "parts": parts, "distiller": distiller}
        row |= {"seed": self.models.seed, "cost": round(cost, 3)}
        words = self.models.ground.words
        self.store.add([row | {split: judge(said[split], words, split) for split in HELD}])


def load_ground(options: argparse.Namespace, config: Narrow, seed: int) -> Ground:
    """Images and words of a study; one thread a training."""
    words, raw = load_words(options, seed)
    return Ground(
        images=decode(raw, "ucmerced" if options.study in MERCED else "corel5k", STORE_SIZE),
        words=words,
        image_size=IMAGE_SIZE,
        model=mobilenet(options.weights),
        options=TrainingOptions.model_validate({**config.options, "threads": 1}),
        parts=config.parts,
    )


def load_words(options: argparse.Namespace, seed: int) -> tuple[Words, ImageRecords]:
    """Corel5k, to be quick a few images of it, or so many a class of UC Merced."""
    if options.study in MERCED:
        raw, few = load_merced(options.merced), options.study.partition("_")[2]
        return Words(few_of_each(raw.labels, int(few), derive_seed(seed, "pictures")), least=1), raw
    raw = load_corel(options.folder)
    labels = raw.labels
    if options.quick:
        split = np.where(np.arange(len(labels.ids)) % THINNED == 0, labels.split, "")
        labels = labels.with_split(split)
    return Words(labels), raw


def open_store(options: argparse.Namespace, path: Path) -> RowStore:
    """The rows of this configuration."""
    config = settings_of(options)
    return RowStore(path, config_hash(config, IMAGE_SIZE, options.study, options.quick))


def make_rows(options: argparse.Namespace, store: RowStore) -> None:
    """Make all rows that are not there yet."""
    seeds = range(options.seeds or (2 if options.quick else SEEDS))
    work = {
        seed: [(options, store, seed, names) for names in _stages(options, seed)] for seed in seeds
    }
    spread(work, _run_stage, options.workers)


def _stages(options: argparse.Namespace, seed: int) -> list[tuple[str, ...]]:
    """Names of what is made of a seed, as far as the claims need it or all."""
    first = *STAGES[0], LONGER_STUDENT
    if options.quick:
        return [first]
    if options.study in MERCED:
        return [first, (DEFAULT.removeprefix("student: "),)]
    return [*STAGES, *([tuple(SLOW)] if seed < SLOW_SEEDS else [])]


def settings_of(options: argparse.Namespace) -> Narrow:
    """How models are trained in a study; one epoch each to see that all works."""
    config = MERCED.get(options.study, NARROW)
    if not options.quick:
        return config
    return replace(config, options={**config.options, "epochs": 1, "augmentation": {"views": 1}})


def _run_stage(task: tuple[argparse.Namespace, RowStore, int, tuple[str, ...]]) -> None:
    options, store, seed, names = task
    torch.set_num_threads(1)
    config = settings_of(options)
    Study(store, config, Models(load_ground(options, config, seed), seed)).make(names)


def claims(rows: Sequence[Row]) -> list[Claim]:
    """What the rows say, settings chosen on validation, figures taken on test images."""
    ours = best(rows, lambda one: one[0] == OURS[0])
    random, plain = ("student: random + random", *ours[1:]), (LONGER_STUDENT, 0, OURS[2])
    alone = ("together: CGP + DGP", ours[1], ""), ("together: random + random", ours[1], "")
    cheap = best(rows, lambda one: _student(one) and cost_of(rows, one) <= DEAREST)
    slow = ("student: slow CGP + DGP", *ours[1:])
    found = [
        gain_claim("student_above_baseline", rows, cheap, BASELINE, GOAL),
        gain_claim("any_student_above_baseline", rows, best(rows, _student), BASELINE, GOAL),
        gain_claim("groups_above_baseline", rows, ours, BASELINE, GOAL),
        gain_claim("groups_above_longer_baseline", rows, ours, (LONGER, ours[1], "")),
        gain_claim("groups_above_plain_of_equal_cost", rows, ours, plain),
        gain_claim("groups_above_random_groups", rows, ours, random),
        gain_claim("teachers_of_groups_above_random", rows, *alone),
        gain_claim("groups_above_plain_out_of_context", rows, ours, plain, column=CONTEXT),
        *_mixed_claims(rows, ours),
    ]
    default = (DEFAULT, *ours[1:])
    if default in settings(rows):
        found.append(unbeaten_claim("default_committee_unbeaten_at_its_cost", rows, default))
    if slow in settings(rows):
        found.append(gain_claim("slow_above_fast_groups", rows, slow, ours))
    return found


def _mixed_claims(rows: Sequence[Row], ours: Setting) -> list[Claim]:
    """Teachers of half the epochs, where there are rows of them: a plain one beside groups."""
    mixed = ("student: short plain + CGP + DGP", *ours[1:])
    if mixed not in settings(rows):
        return []
    return [
        gain_claim("short_mixed_above_baseline", rows, mixed, BASELINE, GOAL),
        gain_claim("short_mixed_above_two_plain", rows, mixed, (SHORT_PLAIN, 0, ours[2])),
    ]


def ingredients(rows: Sequence[Row]) -> Ingredients:
    """One step after the other from the baseline to the student of label groups."""
    ours = best(rows, lambda one: one == (OURS[0], one[1], OURS[2]))
    parts = ours[1]

    def student(name: str, distiller: str = OURS[2]) -> Setting:
        return f"student: {name}", 0 if "plain ×" in name else parts, distiller

    plain, longer = student("plain × 1"), (LONGER_STUDENT, 0, OURS[2])
    together = ("together: CGP + DGP", parts, "")
    return {
        "a longer training": ((LONGER, parts, ""), BASELINE),
        "to learn from a plain model": (plain, BASELINE),
        "a longer student": (longer, plain),
        "a second plain model": (student("plain × 2"), plain),
        "groups, of random labels, at equal cost": (student("random + random"), longer),
        "groups by company": (ours, student("random + random")),
        "DGP beside CGP": (ours, student("CGP")),
        "CGP beside DGP": (ours, student("DGP")),
        "a plain model beside the groups": (student("plain + CGP + DGP"), ours),
        "groups, not a second plain model, beside a plain one": (
            student("short plain + CGP + DGP"),
            (SHORT_PLAIN, 0, OURS[2]),
        ),
        "groups grown from two baselines": (student("grown CGP + DGP"), ours),
        "each teacher a training of its own": (student("slow CGP + DGP"), ours),
        "six teachers of groups, not two plain ones": (
            ("together: slow CGP + DGP", parts, ""),
            ("together: plain × 2", 0, ""),
        ),
        "our distiller, not the published one": (ours, student("CGP + DGP", "logit_mse")),
        "the student in its teachers' stead": (ours, together),
    }


def figures(rows: Sequence[Row]) -> dict[str, go.Figure]:
    """Gain against cost of all students, and of longer training."""

    def ours(start: str, kind: str) -> Callable[[Setting], bool]:
        return lambda one: one[0].startswith(start) and kind in one[0] and one[2] == OURS[2]

    series = {
        "longer baseline": lambda one: one[0] in (LONGER, BASELINE[0]),
        "students of plain models": ours("student: plain ×", ""),
        "students of random groups": ours("student", "random"),
        "students of label groups": ours("student", "GP"),
        "published distiller": lambda one: one[2] not in ("", OURS[2]),
    }
    return {"gain_by_cost": draw_gain_by_cost(rows, series)}


def _student(setting: Setting) -> bool:
    return setting[0].startswith("student")


def _setting(row: Row) -> Setting:
    return row["row"], row["parts"], row["distiller"]
