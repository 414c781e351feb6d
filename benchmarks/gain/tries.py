"""Other ways with the committees of CGP + DGP, tried on frozen features and validation images."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from common import header, table

from gain.committees import Opinion, Teachers, cut, speak
from gain.config import CONFIG
from gain.features import VIEWS
from gain.hidden import predict, stack_columns, train
from gain.report import difference, settings
from gain.rows import RowStore, config_hash
from gain.scoring import judge
from gain.wide import Study, load_field
from mlic.evaluation.metrics import average_precision
from mlic.labels.graph import label_affinity
from mlic.labels.options import EXPONENTS
from mlic.labels.partition.partitioning import partition_labels
from mlic.utils.seeds import derive_seed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gain.committees import Field
    from gain.report import Setting
    from gain.rows import Row

__all__ = ["try_ways"]

log = logging.getLogger(__name__)

SEEDS = tuple(range(1000, 1004))  # none of the study's
PARTS = 3
STRATEGIES = ("cgp", "dgp")
OVERLAP = 0.5  # labels a part learns besides its own, for each of its own
KEPT = 0.25  # of the images that show none of a part's labels
SHARPNESS = 4  # power of a committee's average precision that is its weight
LONGER = 3  # times the usual epochs
COMPONENTS = 64  # of a hidden layer that a student is to tell, too
AS_IT_IS = "as it is"


class Ways:
    """Committees made in other ways and students of them, and single models; each name is a row."""

    def __init__(self, field: Field, seeds: Sequence[int]) -> None:
        self.field, self.seeds = field, seeds
        self.study = Study(field, CONFIG, seeds, PARTS)
        self.ways: dict[str, Callable[[], list[Opinion]]] = {
            AS_IT_IS: lambda: self.usual,
            "mean of both committees' logits": lambda: [Opinion.mean(self.usual)],
            "committees weighed per label by validation AP": lambda: [self._weighed()],
            "CGP of equal sizes": lambda: [self._made(self._equal_cgp), self.usual[1]],
            "parts that overlap": self._overlapping,
            "a quarter of the images without any of a part's labels": self._sampled,
            "logits of an image's views averaged": lambda: self._over_views(1.0),
            "half of each logit its image's average": lambda: self._over_views(0.5),
            "teachers of half the width": lambda: self._of_width(0.5),
            "teachers of twice the width": lambda: self._of_width(2),
            "teachers trained three times as long": lambda: self.longer_teachers,
        }

        plain = self.study.teachers.opinion
        self.models: dict[str, Callable[[], torch.Tensor]] = {
            "student: told the plain model's hidden layer": self.student_of_features,
            "student: trained three times as long": lambda: self.student(self.usual, LONGER),
            "student: teachers and itself trained three times as long": lambda: self.student(
                self.longer_teachers, LONGER
            ),
            "student: of one plain model, itself three times as long": lambda: self.student(
                [plain("full_label_0")], LONGER
            ),
            "student: of one plain model three times as long": lambda: self.student(
                self.longer_plain
            ),
            "student: of one plain model, both three times as long": lambda: self.student(
                self.longer_plain, LONGER
            ),
            f"baseline: {AS_IT_IS}": lambda: self.plain(1),
            "baseline: three times as long": lambda: self.plain(LONGER),
            "baseline: nine times as long": lambda: self.plain(LONGER**2),
        }

    @cached_property
    def usual(self) -> list[Opinion]:
        """CGP and DGP as the study makes them."""
        return [self.study.teachers.opinion(strategy) for strategy in STRATEGIES]

    @cached_property
    def longer_teachers(self) -> list[Opinion]:
        """The same of teachers that are trained longer."""
        teachers = self._longer(PARTS)
        return [teachers.opinion(strategy) for strategy in STRATEGIES]

    @cached_property
    def longer_plain(self) -> list[Opinion]:
        """A plain model that is trained as long."""
        return [self._longer(1).opinion("full_label_0")]

    def _longer(self, parts: int) -> Teachers:
        recipe = replace(CONFIG.teacher, epochs=LONGER * CONFIG.teacher.epochs)
        return Teachers(self.field, self.seeds, parts, recipe, CONFIG.grown)

    def _made(self, parts_of: Callable[[int], Sequence[Sequence[int]]]) -> Opinion:
        """Train a committee of every seed's parts the usual way."""
        parts = [parts_of(seed) for seed in self.seeds]
        return self._trained(parts, [[list(part) for part in own] for own in parts])

    def _trained(
        self,
        parts: Sequence[Sequence[Sequence[int]]],
        learnt: Sequence[Sequence[Sequence[int]]],
        states: Callable[[Sequence[int], int], torch.Tensor] | None = None,
        width: float = 1,
    ) -> Opinion:
        """Train a teacher a part on what it is to learn, its own labels first."""
        recipe = replace(CONFIG.teacher, width=round(CONFIG.teacher.width * width))
        features, truth = self.field.features["train"], self.field.states
        columns = [own for group in learnt for own in group]
        seeds = [derive_seed(s, f"try_{part}") for s in self.seeds for part in range(PARTS)]
        if states is None:
            weights = train(features, truth, stack_columns(columns), seeds, recipe)
        else:
            widest = stack_columns(columns)
            single = [
                train(features, states(own, seed), widest[i : i + 1], [seed], recipe)
                for i, (own, seed) in enumerate(zip(columns, seeds, strict=True))
            ]
            weights = [torch.cat(tensors) for tensors in zip(*single, strict=True)]
        return speak(self.field, weights, parts)

    def _parts(self, strategy: str) -> list[tuple[tuple[int, ...], ...]]:
        return [cut(self.field.words, strategy, PARTS, seed).parts for seed in self.seeds]

    def _equal_cgp(self, seed: int) -> Sequence[Sequence[int]]:
        words, own = self.field.words, derive_seed(seed, "partition_cgp")
        least = len(words.labels.space) // PARTS
        exponent: float = EXPONENTS["cgp"]
        return partition_labels(words.statistics, "cgp", PARTS, exponent, own, min_size=least).parts

    def _overlapping(self) -> list[Opinion]:
        """Each part learns the outsiders that keep most company with it, too."""
        company = label_affinity(self.field.words.statistics, EXPONENTS["cgp"]).toarray()
        found = []
        for strategy in STRATEGIES:
            parts = self._parts(strategy)
            learnt = [[self._widened(part, company) for part in own] for own in parts]
            found.append(self._trained(parts, learnt))
        return found

    def _widened(self, part: Sequence[int], company: np.ndarray) -> list[int]:
        strength = company[list(part)].sum(axis=0)
        strength[list(part)] = -1
        outsiders = np.argsort(-strength, kind="stable")[: round(OVERLAP * len(part))]
        return [*part, *outsiders.tolist()]

    def _sampled(self) -> list[Opinion]:
        def thinned(part: Sequence[int], seed: int) -> torch.Tensor:
            states = self.field.states.clone()
            without = (states[:, list(part)] == 1).sum(1) == 0
            chance = torch.rand(len(states), generator=torch.Generator().manual_seed(seed))
            states[without & (chance >= KEPT)] = -1
            return states

        parts = [self._parts(strategy) for strategy in STRATEGIES]
        return [self._trained(own, [list(map(list, p)) for p in own], thinned) for own in parts]

    def _over_views(self, share: float) -> list[Opinion]:
        """Mix the logits of each view with the mean over all views of its image."""

        def mixed(own: torch.Tensor) -> torch.Tensor:
            return torch.lerp(own.float(), own.float().mean(1, keepdim=True), share).half()

        return [replace(one, train=mixed(one.train)) for one in self.usual]

    def _of_width(self, factor: float) -> list[Opinion]:
        parts = [self._parts(strategy) for strategy in STRATEGIES]
        return [
            self._trained(own, [list(map(list, p)) for p in own], width=factor) for own in parts
        ]

    def _weighed(self) -> Opinion:
        """Committees by a power of each label's AP on validation images; unjudged ones evenly."""
        states = self.field.words.labels.in_split("validation").states
        shares = [
            [average_precision(logits.numpy(), states) for logits in one.validation]
            for one in self.usual
        ]
        powers = torch.nan_to_num(torch.tensor(np.array(shares)), nan=1.0) ** SHARPNESS
        weights = (powers / powers.sum(0)).float()  # strategies, seeds, labels

        def joined(split: str) -> torch.Tensor:
            said = [getattr(one, split).float() for one in self.usual]
            shape = (len(self.seeds), *[1] * (said[0].ndim - 2), -1)
            pairs = zip(said, weights, strict=True)
            return torch.stack([own * weight.view(shape) for own, weight in pairs]).sum(0)

        return Opinion(joined("train").half(), joined("validation"), joined("test"))

    def student(self, opinions: Sequence[Opinion], longer: int = 1) -> torch.Tensor:
        """Logits of every seed's student for the validation images."""
        recipe, distillation = CONFIG.students["binary_kl"]
        recipe = replace(recipe, epochs=longer * recipe.epochs)
        return self.study.student(opinions, recipe, distillation, "student")["validation"]

    def plain(self, longer: int) -> torch.Tensor:
        """The same of a model that learns from the truth alone."""
        recipe = replace(CONFIG.teacher, epochs=longer * CONFIG.teacher.epochs)
        return self.study.all_words(recipe, "full_label_0")["validation"]

    def student_of_features(self) -> torch.Tensor:
        """The same of a student that is to tell the plain model's hidden layer, too.

        An output more for each of its main components, which count as logits of teachers and have
        no truth.
        """
        recipe, distillation = CONFIG.students["binary_kl"]
        field, number = self.field, len(self.field.all_words)
        weights = self.study.teachers.plain(0)
        told = torch.stack([_components(weights, i, field) for i in range(len(self.seeds))])
        targets = [torch.cat([one.train, told.half()], dim=-1) for one in self.usual]
        columns = stack_columns([[*field.all_words, *[-1] * COMPONENTS]] * len(self.seeds))
        seeds = [derive_seed(seed, "student") for seed in self.seeds]
        made = train(
            field.features["train"], field.states, columns, seeds, recipe, targets, distillation
        )
        held = field.features["validation"]
        return torch.stack([predict(made, i, held)[..., :number] for i in range(len(seeds))])


def _components(weights: Sequence[torch.Tensor], model: int, field: Field) -> torch.Tensor:
    """Main components of a hidden layer, standardised; shape (V, n, COMPONENTS)."""
    hidden, bias = weights[0][model], weights[1][model]
    seen = torch.relu(field.features["train"].flatten(0, 1) @ hidden + bias)
    seen = seen - seen.mean(0)
    _, axes = torch.linalg.eigh(seen.T @ seen)
    told = seen @ axes[:, -COMPONENTS:]
    return (told / told.std(0)).unflatten(0, field.features["train"].shape[:2])


def try_ways(options: argparse.Namespace, path: Path) -> None:
    """Make the rows of all ways that are not there yet and tell what each adds."""
    field = load_field(options)
    decisive = CONFIG, VIEWS, field.words.labels.fingerprint
    store = RowStore(path, config_hash(*decisive, OVERLAP, KEPT, SHARPNESS, COMPONENTS))
    if options.workers:
        _make_rows(field, store)
    if not store.rows():
        raise SystemExit("no try was made with these settings: give --workers 1 to make them")
    text = table(_compared(store.rows()))
    print(text)
    if options.write:
        about = [f"- {name}: {value}" for name, value in header().items()]
        title = "# psd_gain, other ways with CGP + DGP, K = 3, on frozen features"
        note = "Validation images alone; gains over the usual way, paired 95 % intervals."
        parts = [title, "\n".join(about), note, text]
        path.with_suffix(".md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _make_rows(field: Field, store: RowStore) -> None:
    torch.set_num_threads(1)
    ways = Ways(field, SEEDS)

    def keep(name: str, logits: torch.Tensor) -> None:
        rows: list[Row] = []
        for seed, own in zip(SEEDS, logits, strict=True):
            figures = judge(own.numpy(), field.words, "validation")
            row: Row = {"row": name, "parts": PARTS, "distiller": "", "seed": seed}
            rows.append(row | {"validation": figures})
        store.add(rows)
        log.info("%s: %.2f", name, np.mean([row["validation"]["mAP"] for row in rows]))

    for name, make in ways.ways.items():
        if store.lacks(f"student: {name}", PARTS, "", SEEDS):
            opinions = make()
            keep(f"together: {name}", Opinion.mean(opinions).validation)
            keep(f"student: {name}", ways.student(opinions))
    for name, logits in ways.models.items():
        if store.lacks(name, PARTS, "", SEEDS):
            keep(name, logits())


def _compared(rows: list[Row]) -> list[dict[str, str]]:
    """One line a row: validation figures, and the difference to the usual way."""
    lines = []
    for setting in settings(rows):
        kind, _, _ = setting[0].partition(": ")
        usual: Setting = (f"{kind}: {AS_IT_IS}", *setting[1:])
        own = [row["validation"] for row in rows if row["row"] == setting[0]]
        line = {"row": setting[0], "seeds": str(len(own))}
        for column in ("mAP", "mAP_all"):
            gain, half = difference(rows, setting, usual, column, "validation")
            line[column] = f"{np.mean([figures[column] for figures in own]):.2f}"
            line[f"{column}, gain"] = f"{gain:+.2f} ± {half:.2f}"
        lines.append(line)
    return lines
