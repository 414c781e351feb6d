"""Wide study: frozen features, one hidden layer, every row, seconds a training."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from common import Claim

from gain.committees import Field, Opinion, Teachers
from gain.config import CONFIG, Config
from gain.corel import Words, decode, load_corel
from gain.features import STORE_SIZE, VIEWS, frozen_features
from gain.figures import draw_gain_by_cost
from gain.hidden import Distillation, Recipe, predict, stack_columns, train
from gain.pool import spread
from gain.report import BASELINE, best, cost_of, gain_claim, plain_of_equal_cost, unbeaten_claim
from gain.rows import RowStore, config_hash
from gain.scoring import judge
from mlic.utils.seeds import derive_seed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import plotly.graph_objects as go

    from gain.report import Ingredients, Setting
    from gain.rows import Row

__all__ = ["Study", "claims", "figures", "ingredients", "load_field", "make_rows", "open_store"]

PARTS = (2, 3, 5, 8)
SEEDS = 20
TOGETHER = 5  # seeds trained side by side
FORWARD = 1 / 3  # of a training pass is its forward pass
HEAD_SHARE = 0.036  # of a whole model's multiply-adds are the hidden layer's and the output's
FULL_LABEL = (1, 2, 3, 4, 6, 10, 16)  # teachers; 2K of them cost what CGP + DGP do
COMMITTEES = {  # strategies of every row: committees of K groups each
    "random": ("random",),
    "random + random": ("random", "random_2"),
    "CGP": ("cgp",),
    "DGP": ("dgp",),
    "CGP + DGP": ("cgp", "dgp"),
    "grown random + random": ("random@0", "random_2@1"),
    "grown CGP + DGP": ("cgp@0", "dgp@1"),
    "plain + CGP + DGP": ("full_label_0", "cgp", "dgp"),
}
QUICK = ("random + random", "CGP + DGP", "plain + CGP + DGP")  # what the claims need, at K = 3
DEFAULT = "student: plain + CGP + DGP"  # the product's, whose plain teacher is the baseline
OURS, LONGER, CONTEXT = (
    "student: CGP + DGP",
    "baseline with PSD's budget",
    "out_of_context_mAP",
)
GOAL, DEAREST = 2.0, 2.5  # points above the baseline, at so many times its cost


class Study:
    """Rows of some seeds, trained side by side."""

    def __init__(self, field: Field, config: Config, seeds: Sequence[int], parts: int) -> None:
        self.field, self.config, self.seeds, self.parts = field, config, seeds, parts
        self.teachers = Teachers(field, seeds, max(parts, 1), config.teacher, config.grown)

    def plain_rows(self, store: RowStore, counts: Sequence[int]) -> None:
        """Baseline, several of them together, and students of plain teachers."""
        opinions: list[Opinion] = []
        missing = [count for count in counts if self._plain_missing(store, count)]
        for count in range(1, max(missing, default=0) + 1):
            opinions.append(self.teachers.opinion(f"plain_{count - 1}"))
            if count not in missing:
                continue
            together = Opinion.mean(opinions)
            teachers = [f"plain_{number}" for number in range(count)]
            passes = self._passes(teachers, targets=False)
            self._keep(store, _together(count), "", together, passes)
            self._students(store, f"student: plain × {count}", teachers, [together])

    def group_rows(self, store: RowStore, names: Sequence[str]) -> None:
        """Committees of groups, their students, and a baseline with their whole budget."""
        for name in names:
            strategies = COMMITTEES[name]
            wanted = [
                (f"together: {name}", ""),
                *((f"student: {name}", d) for d in self._distillers),
            ]
            if not any(store.lacks(row, self.parts, d, self.seeds) for row, d in wanted):
                continue
            opinions = [self.teachers.opinion(strategy) for strategy in strategies]
            passes = self._passes(strategies, targets=False)
            self._keep(store, f"together: {name}", "", Opinion.mean(opinions), passes)
            self._students(store, f"student: {name}", strategies, opinions)
        self._longer(store)

    def _plain_missing(self, store: RowStore, count: int) -> bool:
        wanted = [
            (_together(count), ""),
            *((f"student: plain × {count}", d) for d in self._distillers),
        ]
        return any(store.lacks(row, self.parts, d, self.seeds) for row, d in wanted)

    def student(
        self, opinions: Sequence[Opinion], recipe: Recipe, distillation: Distillation, name: str
    ) -> dict[str, torch.Tensor]:
        """Train a student of every seed; logits as from `all_words`."""
        targets = [opinion.train for opinion in opinions]
        return self.all_words(recipe, name, targets, distillation)

    def all_words(
        self,
        recipe: Recipe,
        name: str,
        targets: Sequence[torch.Tensor] = (),
        distillation: Distillation | None = None,
    ) -> dict[str, torch.Tensor]:
        """Train a model of all words of every seed; its logits by split, shape (S, m, C)."""
        field = self.field
        columns = stack_columns([field.all_words] * len(self.seeds))
        seeds = [derive_seed(seed, name) for seed in self.seeds]
        weights = train(
            field.features["train"], field.states, columns, seeds, recipe, targets, distillation
        )
        held = {split: field.features[split] for split in ("validation", "test")}
        return {
            split: torch.stack([predict(weights, i, x) for i in range(len(seeds))])
            for split, x in held.items()
        }

    @property
    def _distillers(self) -> list[str]:
        return list(self.config.students)

    def _students(
        self, store: RowStore, name: str, teachers: Sequence[str], opinions: Sequence[Opinion]
    ) -> None:
        for distiller, (recipe, distillation) in self.config.students.items():
            if store.lacks(name, self.parts, distiller, self.seeds):
                logits = self.student(opinions, recipe, distillation, "student")
                passes = self._passes(teachers, targets=True) + recipe.epochs
                self._keep(store, name, distiller, logits, passes)

    def _longer(self, store: RowStore) -> None:
        """Plain model for all epochs that CGP + DGP and their student cost."""
        strategies = COMMITTEES["CGP + DGP"]
        if store.lacks(LONGER, self.parts, "", self.seeds):
            student = self.config.students["binary_kl"][0]
            epochs = round(self._passes(strategies, targets=True) + student.epochs)
            logits = self.all_words(replace(self.config.longer, epochs=epochs), "full_label_0")
            self._keep(store, LONGER, "", logits, epochs)

    def _passes(self, teachers: Sequence[str], targets: bool) -> float:
        """Training passes of teachers; writing their targets is a forward pass a view."""
        views = VIEWS * FORWARD * targets
        own, passes = self.config.teacher.epochs, 0.0
        for teacher in teachers:
            grown = "@" in teacher
            epochs = self.config.grown.epochs if grown else own
            number = 1 if teacher.startswith("full_label") else self.parts
            passes += own * grown + number * (epochs + views)
        return passes

    def _keep(
        self,
        store: RowStore,
        name: str,
        distiller: str,
        logits: Opinion | dict[str, torch.Tensor],
        passes: float,
    ) -> None:
        held = logits if isinstance(logits, dict) else vars(logits)
        rows = []
        for place, seed in enumerate(self.seeds):
            row: Row = {"row": name, "parts": self.parts, "distiller": distiller, "seed": seed}
            row |= costs(passes, self.config.teacher.epochs)
            for split in ("validation", "test"):
                row[split] = judge(held[split][place].numpy(), self.field.words, split)
            rows.append(row)
        store.add(rows)


def _together(count: int) -> str:
    return "baseline" if count == 1 else f"together: plain × {count}"


def costs(passes: float, baseline: float) -> dict[str, float]:
    """Cost in baselines: of whole models, and of heads on a trunk that is run once."""
    trunk = VIEWS * FORWARD
    shared = (trunk + HEAD_SHARE * passes) / (trunk + HEAD_SHARE * baseline)
    return {"cost": round(passes / baseline, 2), "cost_shared": round(shared, 2)}


def load_field(options: argparse.Namespace) -> Field:
    raw = load_corel(options.folder)
    features = frozen_features(decode(raw, "corel5k", STORE_SIZE), raw.labels, options.weights)
    return Field(features, Words(raw.labels))


def open_store(options: argparse.Namespace, path: Path) -> RowStore:
    """The rows of this configuration."""
    labels = load_corel(options.folder).labels
    config = quick(CONFIG) if options.quick else CONFIG
    return RowStore(path, config_hash(config, VIEWS, labels.fingerprint))


def make_rows(options: argparse.Namespace, store: RowStore) -> None:
    """Make all rows that are not there yet."""
    load_field(options)  # writes the features, before several processes read them
    tasks = enumerate(_tasks(options, store))
    spread({place: [task] for place, task in tasks}, _run_task, options.workers)


def quick(config: Config) -> Config:
    """Few epochs: to see that all works, not what it yields."""
    students = {
        name: (replace(recipe, epochs=2), own) for name, (recipe, own) in config.students.items()
    }
    grown = replace(config.grown, epochs=1)
    teacher, longer = (replace(one, epochs=2) for one in (config.teacher, config.longer))
    return Config(teacher, longer, grown, students)


def _tasks(
    options: argparse.Namespace, store: RowStore
) -> Iterator[tuple[argparse.Namespace, RowStore, list[int], int]]:
    """Every K, the longest task first, and plain teachers (K = 0); a few seeds each."""
    seeds = list(range(options.seeds or (2 if options.quick else SEEDS)))
    for start in range(0, len(seeds), TOGETHER):
        for parts in (3, 0) if options.quick else (*sorted(PARTS, reverse=True), 0):
            yield options, store, seeds[start : start + TOGETHER], parts


def _run_task(task: tuple[argparse.Namespace, RowStore, list[int], int]) -> None:
    options, store, seeds, parts = task
    torch.set_num_threads(1)
    config = quick(CONFIG) if options.quick else CONFIG
    study = Study(load_field(options), config, seeds, parts)
    if parts:
        study.group_rows(store, QUICK if options.quick else list(COMMITTEES))
    else:
        study.plain_rows(store, (1, 6) if options.quick else FULL_LABEL)


def claims(rows: Sequence[Row]) -> list[Claim]:
    """What the rows say, settings chosen on validation, figures taken on test images."""
    ours = best(rows, lambda one: one[0] == OURS)
    default = best(rows, lambda one: one[0] == DEFAULT)
    random = ("student: random + random", *ours[1:])
    plain = plain_of_equal_cost(rows, ours)
    longer = (LONGER, ours[1], "")
    assert plain is not None
    teachers, *others = _committees(ours[1])
    cheap = best(rows, lambda one: _student(one) and cost_of(rows, one, "cost_shared") <= DEAREST)
    return [
        gain_claim("student_above_baseline", rows, cheap, BASELINE, GOAL),
        gain_claim("any_student_above_baseline", rows, best(rows, _student), BASELINE, GOAL),
        gain_claim("groups_above_baseline", rows, ours, BASELINE),
        gain_claim("groups_above_longer_baseline", rows, ours, longer),
        gain_claim("groups_above_plain_of_equal_cost", rows, ours, plain),
        gain_claim("groups_above_random_groups", rows, ours, random),
        gain_claim("groups_above_plain_out_of_context", rows, ours, plain, column=CONTEXT),
        *(
            gain_claim(f"teachers_of_groups_above_{name}", rows, teachers, other)
            for name, other in zip(("full_label", "random"), others, strict=True)
        ),
        gain_claim("teachers_above_plain_out_of_context", rows, teachers, others[0], 0, CONTEXT),
        unbeaten_claim("default_committee_unbeaten_at_its_cost", rows, default),
    ]


def _committees(parts: int) -> tuple[Setting, Setting, Setting]:
    """Of label groups, and at equal cost of plain models and of random groups."""
    plain: Setting = f"together: plain × {2 * parts}", 0, ""
    return (
        ("together: CGP + DGP", parts, ""),
        plain,
        ("together: random + random", parts, ""),
    )


def ingredients(rows: Sequence[Row]) -> Ingredients:
    """One step after the other from the baseline to the student of label groups."""
    ours = best(rows, lambda one: one[0] == OURS)

    def student(name: str) -> Setting:
        return f"student: {name}", 0 if name.startswith("plain ×") else ours[1], ours[2]

    plain = student("plain × 1")
    equal = plain_of_equal_cost(rows, ours)
    assert equal is not None
    found = {
        "a longer training": ((LONGER, ours[1], ""), BASELINE),
        "a second baseline beside it": (("together: plain × 2", 0, ""), BASELINE),
        "to learn from a plain model": (plain, BASELINE),
        "as many plain models as the groups cost": (equal, plain),
        "groups, of random labels, at equal cost": (student("random + random"), equal),
        "groups by company": (student("CGP + DGP"), student("random + random")),
        "a second committee of random groups": (student("random + random"), student("random")),
        "DGP beside CGP": (ours, student("CGP")),
        "CGP beside DGP": (ours, student("DGP")),
        "a plain model beside the groups": (student("plain + CGP + DGP"), ours),
        "groups grown from two baselines": (student("grown CGP + DGP"), ours),
        "the student in its teachers' stead": (ours, ("together: CGP + DGP", ours[1], "")),
    }
    teachers, plain_teachers, random_teachers = _committees(ours[1])
    found |= {
        "teachers themselves: of groups, not plain ones": (random_teachers, plain_teachers),
        "teachers themselves: groups by company": (teachers, random_teachers),
    }
    other = next(name for name in CONFIG.students if name != ours[2])
    return found | {f"{ours[2]}, not {other}": (ours, (*ours[:2], other))}


def figures(rows: Sequence[Row]) -> dict[str, go.Figure]:
    """Gain against cost, of students by our distiller and of longer training."""
    ours = "binary_kl"
    series = {
        "longer baseline": lambda one: one[0] in (LONGER, BASELINE[0]),
        "student of plain teachers": lambda one: "student: plain ×" in one[0] and one[2] == ours,
        **{
            f"student of {name}": lambda one, name=name: one[::2] == (f"student: {name}", ours)
            for name in ("random + random", "CGP + DGP", "grown CGP + DGP")
        },
    }
    return {"gain_by_cost": draw_gain_by_cost(rows, series)}


def _student(setting: Setting) -> bool:
    return setting[0].startswith("student")
