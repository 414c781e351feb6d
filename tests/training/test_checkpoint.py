"""A checkpoint is all that is needed to use its weights."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

from mlic.caching.store import ArtifactStore
from mlic.datasets import DatasetDataError, SafetensorsDataset
from mlic.errors import CheckpointError
from mlic.models.options import ModelOptions
from mlic.training.checkpoint import Checkpoint
from mlic.training.fit import train
from mlic.training.predict import predict_checkpoint

HOLDS = "mlic.training.checkpoint.Checkpoint"
IMAGES = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def checkpoint(make_job):
    return train(make_job())


def logits(checkpoint):
    with torch.inference_mode():
        return checkpoint.build()(IMAGES)


def through_catalog(checkpoint, folder):
    dataset = SafetensorsDataset(str(folder / "c.safetensors"), cls=HOLDS)
    dataset.save(checkpoint)
    return dataset.load()


def through_store(checkpoint, folder):
    store = ArtifactStore(folder, "baseline")
    store.save("checkpoint", {}, *checkpoint.to_tensors())
    return Checkpoint.from_tensors(*store.load("checkpoint", {}))


@pytest.mark.parametrize("way", [through_catalog, through_store])
def test_a_round_trip_changes_no_logit(checkpoint, tmp_path, way):
    back = way(checkpoint, tmp_path)
    assert back.info == checkpoint.info and back.fingerprint == checkpoint.fingerprint
    assert back.space == checkpoint.space
    assert torch.equal(logits(back), logits(checkpoint))


def test_the_stored_weights_are_those_of_the_trained_model(make_job, tmp_path):
    """Not only of its checkpoint: the same logits as the model in memory gave."""
    job = make_job(ema_decay=0.0, ema_warmup=False)
    checkpoint = through_store(train(job), tmp_path)
    rows = job.labels.rows("validation")
    predicted = predict_checkpoint(checkpoint, job.images, rows, job.options)
    from mlic.evaluation.metrics import mean_average_precision

    score = mean_average_precision(predicted, job.labels.states[rows])
    assert score == pytest.approx(checkpoint.info.validation_map, abs=1e-9)


def test_no_default_is_needed_to_build_it(checkpoint, tmp_path):
    """The file names architecture, head and options in full; starting weights are not sought."""
    expected = logits(checkpoint)
    gone = checkpoint.info.model.model_copy(update={"weights": "/gone/weights.safetensors"})
    moved = Checkpoint(checkpoint.weights, checkpoint.info.model_copy(update={"model": gone}))
    back = through_catalog(moved, tmp_path)
    assert torch.equal(logits(back), expected)
    with safe_open(tmp_path / "c.safetensors", "numpy") as file:
        told = json.loads(file.metadata()["info"])
    assert set(told["model"]) == set(ModelOptions.model_fields)
    assert told["labels"] == list(checkpoint.space.names)
    assert {"torch", "timm", "mlic"} <= set(told["versions"])


def test_a_built_model_is_in_evaluation_mode(checkpoint):
    assert not checkpoint.build().training


def test_fingerprint_follows_weights_and_labels(checkpoint):
    weights = {name: value.copy() for name, value in checkpoint.weights.items()}
    assert Checkpoint(weights, checkpoint.info).fingerprint == checkpoint.fingerprint
    weights["head.linear.bias"][0] += 1
    assert Checkpoint(weights, checkpoint.info).fingerprint != checkpoint.fingerprint


def test_labels_that_do_not_match_their_fingerprint_are_refused(checkpoint, tmp_path):
    swapped = checkpoint.info.model_copy(update={"labels": ("green", "red", "blue", "bright")})
    with pytest.raises(CheckpointError, match="labels do not match its own fingerprint"):
        Checkpoint.from_tensors(*Checkpoint(checkpoint.weights, swapped).to_tensors())
    dataset = SafetensorsDataset(str(tmp_path / "c.safetensors"), cls=HOLDS)
    dataset.save(Checkpoint(checkpoint.weights, swapped))
    with pytest.raises(DatasetDataError, match=r"c\.safetensors"):
        dataset.load()


@pytest.mark.parametrize("metadata", [{}, {"info": "{}"}, {"info": "no JSON"}])
def test_any_other_file_is_refused(metadata):
    with pytest.raises(CheckpointError, match="no mlic checkpoint"):
        Checkpoint.from_tensors({"w": np.zeros(1)}, metadata)


def test_weights_of_another_architecture_are_refused(checkpoint):
    other = checkpoint.info.model_copy(update={"model": ModelOptions(backbone="test_resnet")})
    with pytest.raises(CheckpointError, match="'baseline' does not fit test_resnet"):
        Checkpoint(checkpoint.weights, other).build()


def test_nothing_is_pickled(checkpoint, tmp_path):
    through_catalog(checkpoint, tmp_path)
    assert set(load_file(tmp_path / "c.safetensors")) == set(checkpoint.weights)
