"""Scenes to learn from, and test scenes whose co-occurrence is shifted by a known amount.

At shift 0 test scenes keep the company of the training scenes; at 1 a thing is as likely to come
from any community, so that company says nothing any more. Between them the chance of a guest is
interpolated. Test labels are without noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mlic.images.decode import decode_images
from mlic.images.store import ImageStore
from mlic.images.synthetic.scenes import draw_scenes
from mlic.labels.options import FULL_LABEL
from mlic.labels.partition.partitioning import partition_labels, random_partition
from mlic.labels.split import stratified_split
from mlic.labels.statistics import count_labels
from mlic.training.job import TrainingJob
from mlic.utils.seeds import derive_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlic.config.parameters import Parameters
    from mlic.images.options import SyntheticOptions
    from mlic.labels import LabelMatrix

__all__ = ["PARTS", "SHIFTS", "World", "column_of", "shifted_scenes"]

SHIFTS = (0.0, 0.25, 0.5, 0.75, 1.0)
PARTS = 3
PLAIN_TEACHERS = 2 * PARTS


@dataclass(frozen=True)
class World:
    """Scenes to learn from, and a set of test scenes for every shift."""

    parameters: Parameters
    seed: int
    test_images: int

    @cached_property
    def learning(self) -> tuple[ImageStore, LabelMatrix]:
        """Training and validation images."""
        data, scenes = self.parameters.data, self.parameters.synthetic
        left = 1 - data.test_fraction
        number = round(scenes.num_images * left)
        images, labels = _draw(scenes, derive_seed(self.seed, "scenes"), num_images=number)
        held = data.validation_fraction / left
        shares = {"train": 1 - held, "validation": held}
        split = stratified_split(labels.states, shares, derive_seed(self.seed, "split"))
        return images, labels.with_split(split)

    @cached_property
    def tests(self) -> dict[str, tuple[ImageStore, LabelMatrix]]:
        """Test images by the name of their column."""
        scenes, number = self.parameters.synthetic, self.test_images
        return {column_of(s): shifted_scenes(scenes, self.seed, s, number) for s in SHIFTS}

    def groups(self, strategy: str) -> tuple[list[Sequence[int]], str | None]:
        """Label columns of every teacher, and the partition's fingerprint."""
        labels = self.learning[1]
        space = labels.space
        if strategy == FULL_LABEL:
            return [range(len(space))] * PLAIN_TEACHERS, None
        own = derive_seed(self.seed, f"partition_{strategy}")
        if strategy.startswith("random"):
            partition = random_partition(space, [len(space) // PARTS] * PARTS, own)
        else:
            options = self.parameters.partition
            statistics = count_labels(labels.in_split("train").states, space)
            exponent = options.exponents[strategy]  # type: ignore[index]
            partition = partition_labels(statistics, strategy, PARTS, exponent, own)
        return list(partition.parts), partition.fingerprint

    def job(self, name: str, role: str, columns: Sequence[int], **changes: Any) -> TrainingJob:
        """One training of some labels."""
        images, labels = self.learning
        return TrainingJob(
            name=name,
            role=role,
            labels=labels.with_labels(columns),
            images=images,
            image_size=self.parameters.data.image_size,
            model=self.parameters.model,
            options=self.parameters.training.for_role(role),
            seed=derive_seed(self.seed, name),
            view_seed=self.seed,
            **changes,
        )


def shifted_scenes(
    scenes: SyntheticOptions, seed: int, shift: float, number: int
) -> tuple[ImageStore, LabelMatrix]:
    """Scenes in which a guest is as likely as told, from training's chance to mere chance."""
    home, apart = scenes.cross_probability, 1 - 1 / scenes.num_communities
    own = {"cross_probability": home + shift * (apart - home), "label_noise": 0.0}
    return _draw(scenes, derive_seed(seed, f"test {shift}"), num_images=number, **own)


def _draw(scenes: SyntheticOptions, seed: int, **changes: Any) -> tuple[ImageStore, LabelMatrix]:
    raw, _ = draw_scenes(scenes.model_copy(update=changes), seed)
    pixels = np.empty((len(raw), scenes.size, scenes.size, 3), dtype=np.uint8)
    decode_images(raw, scenes.size, pixels)
    return ImageStore.from_arrays(raw.labels.ids, pixels), raw.labels


def column_of(shift: float) -> str:
    """Name of the column of a shift."""
    return f"mAP at shift {shift:g}" if shift else "mAP"
