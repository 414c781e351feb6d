"""Hours and bytes of a run on several machines, from what one of them does in a second.

A stage takes as long as the slowest of its parts, because images are read ahead: accelerators,
cores (which decode and augment), and moving bytes. Stages follow each other. Teachers are
distributed over the machines in rounds, since they do not wait for each other; other trainings run
on one machine.

==========  =============================  ====================  =================================
stage       accelerators, seconds          cores, seconds        bytes
==========  =============================  ====================  =================================
decoding    none                           n / D                 n · stored
statistics  none                           none                  n · C
baseline    e · n / T                      e · n / V             e · n · stored
teachers    r · (e · n / T + v · n / P)    r · (e + v) · n / V   r · (e + v) · n · stored
joining     none                           2 · s v n C logit / J 2 · s · v · n · C · logit
student     e · n / T                      e · n / V             e · n · (stored + s · C · logit)
==========  =============================  ====================  =================================

n images, C labels, e epochs, v views, s strategies of K teachers each, r = ⌈s K / machines⌉ rounds.
A machine decodes D images a second, reads and augments V, and trains T on all its devices together.
As mlic does it, one device predicts the logits of P images a second, one core joins J bytes a
second, and all images are decoded by one machine. Logits and joined targets are stored twice: with
the training, and as an entry of the catalog.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

__all__ = ["Machine", "Run", "Stage", "predict_stages", "predict_teachers"]


@dataclass(frozen=True)
class Machine:
    """What one machine does."""

    trained: float  # images a second of a training on one device
    predicted: float  # images a second of a prediction on one device
    decoded: float  # images a second that one core decodes and stores
    viewed: float  # stored images a second that one core reads and augments
    joined: float  # bytes of logits a second that one core joins
    read: float  # bytes a second from disk or network
    devices: int = 1
    cores: int = 1


@dataclass(frozen=True)
class Run:
    """What is to be computed."""

    images: int
    labels: int
    epochs: int
    views: int
    parts: int
    stored: float  # bytes of a stored image
    logit: float  # bytes of a stored logit, the mean over all labels
    strategies: int = 2


@dataclass(frozen=True)
class Stage:
    """Cost of one stage."""

    name: str
    accelerators: float  # seconds
    cores: float  # seconds
    moving: float  # seconds
    written: float  # bytes that stay on the disk

    @property
    def seconds(self) -> float:
        """Seconds of the stage."""
        return max(self.accelerators, self.cores, self.moving)

    @property
    def binds(self) -> str:
        """Which part takes longest."""
        return max(("accelerators", "cores", "moving"), key=lambda part: float(getattr(self, part)))


def predict_stages(run: Run, machine: Machine, machines: int) -> list[Stage]:
    """Cost of every stage of a run, in order.

    Examples
    --------
    >>> run = Run(images=1000, labels=10, epochs=2, views=1, parts=2, stored=100, logit=2)
    >>> machine = Machine(trained=10, predicted=50, decoded=100, viewed=1000, joined=1e6, read=1e6)
    >>> [round(stage.seconds) for stage in predict_stages(run, machine, machines=4)]
    [10, 0, 200, 220, 0, 200]
    """
    n, passes = run.images, run.epochs * run.images
    trained, viewed = machine.trained * machine.devices, machine.viewed * machine.cores
    images, logits = n * run.stored, run.strategies * run.views * n * run.labels * run.logit
    rounds = ceil(run.strategies * run.parts / machines)
    seen = rounds * (run.epochs + run.views)
    predicting = run.views * n / machine.predicted
    decoding = n / (machine.decoded * machine.cores)
    soft = passes * run.strategies * run.labels * run.logit
    stages = [  # seconds of accelerators and cores; bytes moved and written
        ("decoding", 0, decoding, images, images),
        ("statistics", 0, 0, n * run.labels, 0),
        ("baseline", passes / trained, passes / viewed, run.epochs * images, 0),
        ("teachers", rounds * (passes / trained + predicting), seen * n / viewed, seen * images,
         2 * logits),
        ("joining", 0, 2 * logits / machine.joined, 2 * logits, 2 * logits),
        ("student", passes / trained, passes / viewed, run.epochs * images + soft, 0),
    ]  # fmt: skip
    return [
        Stage(name, accelerators, cores, moved / machine.read, written)
        for name, accelerators, cores, moved, written in stages
    ]


def predict_teachers(run: Run, machine: Machine, node: float) -> float:
    """Seconds of all teachers on one machine, each of which is a node that costs `node` more."""
    (teachers,) = (one for one in predict_stages(run, machine, 1) if one.name == "teachers")
    return teachers.seconds + run.strategies * run.parts * node
