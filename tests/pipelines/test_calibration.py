"""The pipeline that calibrates finished models."""

import numpy as np
import pytest

from mlic.caching.tensors import load_tensors, save_tensors
from mlic.config.shape import RunShape
from mlic.errors import CheckpointError
from mlic.inference.options import CalibrationOptions
from mlic.labels import LabelMatrix
from mlic.pipelines.calibration import create_pipeline
from mlic.pipelines.calibration.nodes import calibrate_model
from mlic.training.checkpoint import Checkpoint
from mlic.training.predict import predict_checkpoint
from mlic.training.train import make_task, train


@pytest.fixture
def checkpoint(make_job):
    """A checkpoint as a training returns it."""
    return train(make_task(make_job()))[0]


def test_model_has_the_weights_of_its_checkpoint_and_a_calibration(
    checkpoint, images, labels, settings, tmp_path
):
    model = calibrate_model(checkpoint, images, labels, settings["training"], CalibrationOptions())
    save_tensors(tmp_path / "model.safetensors", *model.to_tensors())
    again = Checkpoint.from_tensors(*load_tensors(tmp_path / "model.safetensors"))
    assert again.fingerprint == checkpoint.fingerprint
    assert again.info.calibration == model.calibration
    assert again.calibration.made_from["images"] == len(labels.rows("validation"))
    assert again.calibration.made_from["labels"] == labels.in_split("validation").fingerprint


def test_calibration_sees_validation_images_only(checkpoint, images, labels, settings):
    training, options = settings["training"], CalibrationOptions(fit="global", rule="tuned_f1")
    other = labels.states.copy()
    other[labels.split != "validation"] ^= 1
    changed = LabelMatrix(labels.space, labels.ids, other, labels.split)
    found, same = (
        calibrate_model(checkpoint, images, given, training, options).calibration
        for given in (labels, changed)
    )
    own = {"made_from", "refiner"}  # the refiner has the counts of the training labels
    assert found.model_dump(exclude=own) == same.model_dump(exclude=own)


def test_refiner_counts_training_labels_and_never_sees_test_labels(
    checkpoint, images, labels, settings
):
    training, options = settings["training"], CalibrationOptions()
    other = labels.states.copy()
    other[labels.split == "test"] ^= 1
    changed = LabelMatrix(labels.space, labels.ids, other, labels.split)
    found, same = (
        calibrate_model(checkpoint, images, given, training, options).calibration.refiner
        for given in (labels, changed)
    )
    assert found == same and found is not None
    train = labels.in_split("train").states
    share = (train == 1).sum(axis=0) / (train >= 0).sum(axis=0)
    np.testing.assert_allclose(found.counts, share * len(train), atol=1e-3)
    off = CalibrationOptions(refiner=False)
    assert calibrate_model(checkpoint, images, labels, training, off).calibration.refiner is None


def test_without_validation_images_only_the_loss_is_undone(checkpoint, images, labels, settings):
    split = np.where(labels.split == "validation", "train", labels.split)
    given = LabelMatrix(labels.space, labels.ids, labels.states, split)
    training = settings["training"]
    model = calibrate_model(checkpoint, images, given, training, CalibrationOptions())
    assert set(model.calibration.thresholds) == {0.5}
    logits = predict_checkpoint(checkpoint, images, np.arange(3), training)
    found = model.calibration.probabilities(logits)
    np.testing.assert_allclose(found, checkpoint.calibration.probabilities(logits))


def test_checkpoint_that_names_no_loss_means_no_probability(checkpoint):
    info = checkpoint.info.model_copy(update={"components": {}})
    with pytest.raises(CheckpointError) as raised:
        _ = Checkpoint(checkpoint.weights, info).calibration
    assert raised.value.fields["name"] == "baseline"


def test_every_single_model_is_calibrated():
    shape = RunShape(budget_matched_baseline=True)
    pipeline = create_pipeline(shape)
    assert pipeline.outputs() == {f"{name}.model" for name in shape.single_models}
