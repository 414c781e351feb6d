"""Models fine-tuned end to end, and what each says of training views and of held-out images.

What was said is kept in the system's temporary folder under all that decided it, so that a study
that was stopped goes on with the models it had.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mlic.training.frozen import predict_branch_views, train_branches
from mlic.training.joint import predict_jointly, train_jointly
from mlic.training.trunk import FrozenTrunk
from safetensors.numpy import load_file, save_file

from gain.committees import cut
from gain.corel import CACHE
from mlic.datasets import SafetensorsDataset
from mlic.distillation.targets import SoftTargets
from mlic.models.options import BranchedModelOptions, BranchOptions
from mlic.training.fit import train
from mlic.training.job import TrainingJob
from mlic.training.predict import predict_checkpoint, predict_training_views
from mlic.utils.seeds import derive_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gain.corel import Words
    from mlic.images.store import ImageStore
    from mlic.models.options import ModelOptions
    from mlic.training.checkpoint import Checkpoint
    from mlic.training.options import DistillationOptions, TrainingOptions

__all__ = ["Ground", "Models", "Said"]

CHECKPOINT = "mlic.training.checkpoint.Checkpoint"

Said = dict[str, np.ndarray]
"""Logits of a committee or a model, all words in order, by what they are of.

``train``: shape (views, n, C), float16; ``validation`` and ``test``: (m, C), float32; ``seconds``:
of a processor, to train and to tell the training views; a training for several committees is shared
out among them.
"""


@dataclass(frozen=True)
class Ground:
    """What all models learn from, how, and in how many groups."""

    images: ImageStore
    words: Words
    image_size: int
    model: ModelOptions
    options: TrainingOptions
    parts: int

    @property
    def decisive(self) -> dict[str, Any]:
        """All that decides what is said, but for seed and name."""
        return {
            "images": self.images.fingerprint,
            "labels": self.words.labels.fingerprint,
            "image_size": self.image_size,
            "model": self.model.model_dump(mode="json", exclude={"weights"}),
            "options": self.options.model_dump(mode="json", exclude={"threads"}),
            "parts": self.parts,
        }


class Models:
    """All that one seed trains, each once; what was said is kept in a folder."""

    def __init__(self, ground: Ground, seed: int, folder: Path = CACHE / "finetuned") -> None:
        self.ground, self.seed, self.folder = ground, seed, folder
        self.labels = ground.words.labels

    def plain(self, number: int) -> Said:
        """What a model of all words says, trained the way a person would have."""
        name = f"plain_{number}"
        return self._keep(name, lambda: {name: self._plain(name)})[name]

    def longer(self, epochs: int) -> Said:
        """What a plain model of more epochs says of held-out images."""
        job = self._job("full_label_0", "baseline")
        return self._alone(replace(job, options=job.options.model_copy(update={"epochs": epochs})))

    def student(
        self, taught: Mapping[str, Said], distillation: DistillationOptions, **changes: Any
    ) -> Said:
        """What a model says of held-out images that has learnt from committees, by name.

        ``changes``: options of its training other than those of the ground.
        """
        job = self._job("student", "student")
        values = {name: said["train"] for name, said in taught.items()}
        ids, space = self.labels.in_split("train").ids, self.labels.space
        targets = SoftTargets(space, ids, values, job.views, teachers={}, partitions={})
        options = job.options.model_copy(update=changes)
        return self._alone(
            replace(job, options=options, targets=targets, distillation=distillation)
        )

    def groups(self, mode: str, strategies: Sequence[str]) -> dict[str, Said]:
        """What the groups of each strategy say.

        Parameters
        ----------
        mode
            ``separate`` trainings, one ``joint`` one, or, with the number of a plain model,
            branches on its frozen lower layers: ``frozen@0``.
        strategies
            Known to `gain.committees.cut`.
        """
        kind, _, base = mode.partition("@")
        make: dict[str, Callable[[], dict[str, Said]]] = {
            "separate": lambda: self._separate(strategies),
            "joint": lambda: self._joint(strategies),
            "frozen": lambda: self._frozen(strategies, int(base)),
        }
        return self._keep(f"{mode} {' '.join(strategies)}", make[kind])

    def _plain(self, name: str) -> Said:
        job, watch = self._job(name, "baseline"), _Watch()
        made = train(job)
        watch.trained()
        self._checkpoint(name).save(made)
        views = list(predict_training_views(job, made))
        return self._said([job], [made], [views], watch.told())

    def _alone(self, job: TrainingJob) -> Said:
        watch = _Watch()
        made = train(job)
        watch.trained()
        return self._said([job], [made], None, watch.told())

    def _separate(self, strategies: Sequence[str]) -> dict[str, Said]:
        said = {}
        for strategy in strategies:
            jobs, watch = self._teachers([strategy], self.ground.model), _Watch()
            made = [train(job) for job in jobs]
            watch.trained()
            views = [list(predict_training_views(*pair)) for pair in zip(jobs, made, strict=True)]
            said[strategy] = self._said(jobs, made, views, watch.told())
        return said

    def _joint(self, strategies: Sequence[str]) -> dict[str, Said]:
        jobs, watch = self._teachers(strategies, self._branched()), _Watch()
        made = train_jointly(jobs, [_ignore] * len(jobs))
        watch.trained()
        views = list(zip(*predict_jointly(jobs, made), strict=True))
        return self._by_strategy(strategies, jobs, made, views, watch.told())

    def _frozen(self, strategies: Sequence[str], base: int) -> dict[str, Said]:
        self.plain(base)
        checkpoint = self._checkpoint(f"plain_{base}").load()
        jobs, watch = self._teachers(strategies, self._branched()), _Watch()
        with tempfile.TemporaryDirectory() as folder:
            trunk = FrozenTrunk(checkpoint, jobs[0], Path(folder))
            made = train_branches(jobs, trunk, [_ignore] * len(jobs))
            watch.trained()
            pairs = zip(jobs, made, strict=True)
            views = [list(predict_branch_views(*pair, trunk)) for pair in pairs]
        return self._by_strategy(strategies, jobs, made, views, watch.told())

    def _checkpoint(self, name: str) -> SafetensorsDataset:
        return SafetensorsDataset(str(self._file(f"checkpoint {name}")), CHECKPOINT)

    def _branched(self) -> BranchedModelOptions:
        return BranchedModelOptions(**self.ground.model.model_dump(), branch=BranchOptions())

    def _teachers(self, strategies: Iterable[str], model: ModelOptions) -> list[TrainingJob]:
        ground = self.ground
        parts = {s: cut(ground.words, s, ground.parts, self.seed).parts for s in strategies}
        return [
            self._job(f"teachers.{strategy}_{number}", "teacher", columns, model)
            for strategy, own in parts.items()
            for number, columns in enumerate(own)
        ]

    def _job(
        self,
        name: str,
        role: str,
        columns: Sequence[int] | None = None,
        model: ModelOptions | None = None,
    ) -> TrainingJob:
        ground = self.ground
        return TrainingJob(
            name=name,
            role=role,
            labels=self.labels if columns is None else self.labels.with_labels(columns),
            images=ground.images,
            image_size=ground.image_size,
            model=model or ground.model,
            options=ground.options.for_role(role),
            seed=derive_seed(self.seed, name),
            view_seed=self.seed,
        )

    def _by_strategy(
        self,
        strategies: Sequence[str],
        jobs: Sequence[TrainingJob],
        made: Sequence[Checkpoint],
        views: Sequence[Sequence[np.ndarray]],
        seconds: np.ndarray,
    ) -> dict[str, Said]:
        """Share the teachers of one training, and its time, out among the strategies."""
        said, parts = {}, self.ground.parts
        for place, strategy in enumerate(strategies):
            own = slice(place * parts, (place + 1) * parts)
            share = seconds / len(strategies)
            said[strategy] = self._said(jobs[own], made[own], views[own], share)
        return said

    def _said(
        self,
        jobs: Sequence[TrainingJob],
        made: Sequence[Checkpoint],
        views: Sequence[Sequence[np.ndarray]] | None,
        seconds: np.ndarray,
    ) -> Said:
        """Join what models of some words each say, by word."""
        columns = [self.labels.space.indices(job.labels.space.names) for job in jobs]
        said: Said = {"seconds": seconds}
        if views is not None:
            said["train"] = _join([np.stack(own).astype(np.float16) for own in views], columns)
        for split in ("validation", "test"):
            rows, options = self.labels.rows(split), self.ground.options
            told = [predict_checkpoint(one, self.ground.images, rows, options) for one in made]
            said[split] = _join(told, columns)
        return said

    def _keep(self, name: str, make: Callable[[], dict[str, Said]]) -> dict[str, Said]:
        """Make it unless it has been kept; one file a committee."""
        listing = self._file(f"list {name}").with_suffix(".json")
        if not listing.is_file():
            made = make()
            for committee, said in made.items():
                save_file(said, self._file(f"{name}: {committee}"))
            listing.write_text(json.dumps(list(made)), encoding="utf-8")
        return {
            committee: load_file(self._file(f"{name}: {committee}"))
            for committee in json.loads(listing.read_text(encoding="utf-8"))
        }

    def _file(self, name: str) -> Path:
        decisive = json.dumps([self.ground.decisive, self.seed, name], sort_keys=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{hashlib.sha256(decisive.encode()).hexdigest()[:24]}.safetensors"


def _join(told: Sequence[np.ndarray], columns: Sequence[Sequence[int]]) -> np.ndarray:
    shape = (*told[0].shape[:-1], sum(map(len, columns)))
    joined = np.full(shape, np.nan, told[0].dtype)
    for values, own in zip(told, columns, strict=True):
        joined[..., own] = values
    return joined


class _Watch:
    """Seconds of a processor, to train and to tell."""

    def __init__(self) -> None:
        self.marks = [time.process_time()]

    def trained(self) -> None:
        self.marks.append(time.process_time())

    def told(self) -> np.ndarray:
        return np.diff([*self.marks, time.process_time()])


def _ignore(epoch: int, figures: Mapping[str, float]) -> None:
    """Nobody follows these trainings."""
