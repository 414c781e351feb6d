"""Committees of teachers on frozen features: trained when first asked for, joined by column."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from gain.hidden import Recipe, grow, predict, stack_columns, train
from mlic.labels.options import EXPONENTS
from mlic.labels.partition.partitioning import partition_labels, random_partition
from mlic.utils.seeds import derive_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gain.corel import Words
    from gain.hidden import Weights
    from mlic.labels.partition import Partition

__all__ = ["Field", "Opinion", "Teachers", "cut"]

SIZES_OF = {"random": "cgp", "random_2": "dgp"}  # random groups take the sizes of these


@dataclass(frozen=True)
class Field:
    """What all models learn from and are judged by."""

    features: dict[str, torch.Tensor]
    words: Words

    @cached_property
    def states(self) -> torch.Tensor:
        """Of the training images; shape (n, C), int8."""
        return torch.from_numpy(self.words.labels.in_split("train").states)

    @property
    def views(self) -> int:
        """Stored views of a training image."""
        return len(self.features["train"])

    @property
    def all_words(self) -> list[int]:
        """Columns of a model of everything."""
        return list(range(len(self.words.labels.space)))


@dataclass(frozen=True)
class Opinion:
    """Logits of one committee of every seed, all words in order.

    ``train``: shape (S, V, n, C), float16; ``validation`` and ``test``: (S, m, C), float32.
    """

    train: torch.Tensor
    validation: torch.Tensor
    test: torch.Tensor

    @classmethod
    def mean(cls, opinions: Sequence[Opinion]) -> Opinion:
        """Mean of the logits."""
        train = sum(one.train.float() for one in opinions) / len(opinions)
        held = [
            torch.stack([getattr(one, split) for one in opinions]).mean(0)
            for split in ("validation", "test")
        ]
        return cls(train.half(), *held)  # type: ignore[union-attr]


class Teachers:
    """Committees of several seeds side by side, each trained once.

    Parameters
    ----------
    field
        Features and labels.
    seeds
        Of the study.
    parts
        K.
    recipe
        Of plain and group teachers.
    grown
        Of specialists that start from a plain model.
    """

    def __init__(
        self, field: Field, seeds: Sequence[int], parts: int, recipe: Recipe, grown: Recipe
    ) -> None:
        self.field, self.seeds, self.parts = field, seeds, parts
        self.recipe, self.grown = recipe, grown
        self._plain: dict[int, Weights] = {}
        self.opinions: dict[str, Opinion] = {}

    def opinion(self, name: str) -> Opinion:
        """What a committee says.

        Parameters
        ----------
        name
            ``full_label_0`` and so on; a strategy that `cut` knows; with ``@0`` behind it, grown
            from ``full_label_0``.
        """
        if name not in self.opinions:
            make = self._say_plain if name.startswith("full_label") else self._say_groups
            self.opinions[name] = make(name)
        return self.opinions[name]

    def plain(self, number: int) -> Weights:
        """Weights of a plain model of every seed."""
        if number not in self._plain:
            columns = stack_columns([self.field.all_words] * len(self.seeds))
            seeds = [derive_seed(seed, f"plain_{number}") for seed in self.seeds]
            field = self.field
            self._plain[number] = train(
                field.features["train"], field.states, columns, seeds, self.recipe
            )
        return self._plain[number]

    def forget(self, mark: str) -> None:
        """Let go of the opinions with a mark in their names."""
        self.opinions = {name: own for name, own in self.opinions.items() if mark not in name}

    def _say_plain(self, name: str) -> Opinion:
        weights = self.plain(int(name.removeprefix("plain_")))
        return speak(self.field, weights, [[self.field.all_words]] * len(self.seeds))

    def _say_groups(self, name: str) -> Opinion:
        strategy, _, base = name.partition("@")
        parts = [cut(self.field.words, strategy, self.parts, seed).parts for seed in self.seeds]
        columns = stack_columns([part for own in parts for part in own])
        seeds = [derive_seed(s, f"{name}_{part}") for s in self.seeds for part in range(self.parts)]
        start = None
        if base:
            repeated = [w.repeat_interleave(self.parts, 0) for w in self.plain(int(base))]
            start = grow(repeated, columns)
        recipe = self.grown if base else self.recipe
        field = self.field
        weights = train(field.features["train"], field.states, columns, seeds, recipe, start=start)
        return speak(field, weights, parts)


def speak(field: Field, weights: Weights, parts: Sequence[Sequence[Sequence[int]]]) -> Opinion:
    """Join the logits of every seed's models by the columns of their parts."""
    return Opinion(
        _join(field, weights, parts, "train").half(),
        _join(field, weights, parts, "validation"),
        _join(field, weights, parts, "test"),
    )


def _join(
    field: Field, weights: Weights, parts: Sequence[Sequence[Sequence[int]]], split: str
) -> torch.Tensor:
    features = field.features[split]
    joined = torch.full((len(parts), *features.shape[:-1], len(field.all_words)), torch.nan)
    model = 0
    for own, groups in zip(joined, parts, strict=True):
        for group in groups:
            own[..., list(group)] = predict(weights, model, features)[..., : len(group)]
            model += 1
    return joined


def cut(words: Words, strategy: str, parts: int, seed: int) -> Partition:
    """Groups of one seed; random ones in the sizes of CGP's or DGP's.

    With many rare words the least normalised cut splits off a handful of them and leaves the
    rest in one part (289 and 3 of 292 words at K = 2). A part of ``cgp`` therefore holds at least
    half of its fair share.
    """
    if strategy in SIZES_OF:
        sizes = [len(part) for part in cut(words, SIZES_OF[strategy], parts, seed).parts]
        return random_partition(words.labels.space, sizes, derive_seed(seed, strategy))
    least = len(words.labels.space) // (2 * parts)
    own = derive_seed(seed, f"partition_{strategy}")
    exponent: float = EXPONENTS[strategy]  # type: ignore[index]
    return partition_labels(words.statistics, strategy, parts, exponent, own, min_size=least)
