"""A tiny data set, and predictions and checkpoints of models for it."""

import numpy as np

from mlic.evaluation.predictions import Predictions
from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix, LabelSpace
from mlic.labels.context import LabelContext
from mlic.models.classifier import build_classifier
from mlic.models.options import ModelOptions
from mlic.training.calibration import Calibration
from mlic.training.checkpoint import Checkpoint, CheckpointInfo
from mlic.training.options import Choice, TrainingOptions

NAMES = ("sea", "<b>R&D</b>", "cow", "field")
SPACE = LabelSpace(NAMES)
GROUPS = {"cgp": [("sea", NAMES[1]), ("cow", "field")], "dgp": [("sea", "cow"), NAMES[1::2]]}
TRAINING = TrainingOptions(epochs=1, batch_size=4, learning_rate=0.1, threads=1, precision="32")


def matrix_of(num_test=40, space=SPACE, seed=0):
    rng = np.random.default_rng(seed)
    states = (rng.random((num_test + 8, len(space))) < 0.4).astype(np.int8)
    states[8:10] = [[1] * len(space), [0] * len(space)]
    split = ["train"] * 5 + ["validation"] * 3 + ["test"] * num_test
    return LabelMatrix(space, [f"p{i}" for i in range(len(states))], states, split)


def predictions_of(labels, groups=GROUPS, seed=1):
    """Random logits; the teachers are in the order of a file, which is not that of the parts."""
    rng = np.random.default_rng(seed)
    own = {"student": labels.space.names, "baseline": labels.space.names}
    for strategy, parts in groups.items():
        own |= {f"teachers.{strategy}_{part}": tuple(names) for part, names in enumerate(parts)}
    own = dict(sorted(own.items(), reverse=True))
    ids = labels.in_split("test").ids
    logits = {
        model: rng.normal(size=(len(ids), len(names))).astype(np.float32)
        for model, names in own.items()
    }
    return Predictions(ids, logits, own)


def calibration_of(num_labels):
    return Calibration.unfitted(Choice(name="binary_cross_entropy"), num_labels)


def checkpoint_of(name, names=NAMES, seconds=1.0, weights=None):
    info = CheckpointInfo(
        name=name,
        role=name.partition(".")[0],
        labels=names,
        label_fingerprint=LabelSpace(tuple(names)).fingerprint,
        model=ModelOptions(backbone="test_resnet"),
        image_size=32,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        components={"data": "0123"},
        versions={"torch": "2"},
        epoch=1,
        averaged=True,
        validation_map=0.5,
        seconds=seconds,
        history=[{"loss": 0.5, "validation_mAP_raw": 0.4, "validation_mAP_ema": 0.5}],
        calibration=None if name.startswith("teachers.") else calibration_of(len(names)),
    )
    return Checkpoint(weights or {}, info)


def weights_of(num_labels):
    """Weights of a tiny model."""
    context = LabelContext(LabelSpace(tuple(map(str, range(num_labels)))))
    model = build_classifier(ModelOptions(backbone="test_resnet"), context)
    return {name: value.numpy() for name, value in model.state_dict().items()}


def images_of(labels):
    """Random images, in another order than the labels."""
    pixels = np.random.default_rng(2).integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
    return ImageStore.from_arrays(labels.ids[::-1], pixels)
