"""Checkpoints: the file alone is enough to build the model."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import mlic
from mlic.caching.store import ArtifactStore
from mlic.caching.tensors import save_tensors
from mlic.datasets import DatasetDataError, SafetensorsDataset
from mlic.errors import CheckpointError, DataError
from mlic.evaluation.metrics import mean_average_precision
from mlic.models.options import ModelOptions
from mlic.training.checkpoint import Checkpoint, load_checkpoint
from mlic.training.predict import predict_checkpoint
from mlic.training.train import make_task, train

CHECKPOINT = "mlic.training.checkpoint.Checkpoint"
IMAGES = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def checkpoint(make_job):
    return train(make_task(make_job()))[0]


def logits(checkpoint):
    with torch.inference_mode():
        return checkpoint.build()(IMAGES)


def through_catalog(checkpoint, folder):
    dataset = SafetensorsDataset(str(folder / "c.safetensors"), cls=CHECKPOINT)
    dataset.save(checkpoint)
    return dataset.load()


def through_store(checkpoint, folder):
    store = ArtifactStore(folder, "baseline")
    store.save("checkpoint", {}, *checkpoint.to_tensors())
    return Checkpoint.from_tensors(*store.load("checkpoint", {}))


def through_file(checkpoint, folder):
    through_catalog(checkpoint, folder)
    return load_checkpoint(folder / "c.safetensors")


@pytest.mark.parametrize("write_and_read", [through_catalog, through_store, through_file])
def test_writing_and_reading_changes_no_logit(checkpoint, tmp_path, write_and_read):
    back = write_and_read(checkpoint, tmp_path)
    assert back.info == checkpoint.info and back.fingerprint == checkpoint.fingerprint
    assert back.space == checkpoint.space
    assert torch.equal(logits(back), logits(checkpoint))


def test_stored_weights_are_those_of_the_trained_model(make_job, tmp_path):
    """They have the validation score that the model had in memory."""
    job = make_job(ema_decay=0.0, ema_warmup=False)
    checkpoint = through_store(train(make_task(job))[0], tmp_path)
    rows = job.labels.rows("validation")
    predicted = predict_checkpoint(checkpoint, job.images, rows, job.options)
    score = mean_average_precision(predicted, job.labels.states[rows])
    assert score == pytest.approx(checkpoint.info.validation_map, abs=1e-9)


def test_file_describes_the_model_in_full(checkpoint, tmp_path):
    """No default is needed to build it, nor the file of its starting weights."""
    expected = logits(checkpoint)
    gone = checkpoint.info.model.model_copy(update={"weights": "/gone/weights.safetensors"})
    moved = Checkpoint(checkpoint.weights, checkpoint.info.model_copy(update={"model": gone}))
    back = through_catalog(moved, tmp_path)
    assert torch.equal(logits(back), expected)
    with safe_open(tmp_path / "c.safetensors", "numpy") as file:
        info = json.loads(file.metadata()["info"])
    assert set(info["model"]) == set(ModelOptions.model_fields)
    assert info["labels"] == list(checkpoint.space.names)
    assert {"torch", "timm", "mlic"} <= set(info["versions"])


def test_built_model_is_in_evaluation_mode(checkpoint):
    assert not checkpoint.build().training


def test_model_is_loaded_from_its_file_alone(checkpoint, tmp_path):
    through_catalog(checkpoint, tmp_path)
    model = load_checkpoint(str(tmp_path / "c.safetensors")).build()
    assert not model.training
    with torch.inference_mode():
        assert torch.equal(model(IMAGES), logits(checkpoint))


@pytest.mark.parametrize("load", [load_checkpoint, mlic.load_model])
def test_missing_or_damaged_file_is_an_error(tmp_path, load):
    path = tmp_path / "c.safetensors"
    with pytest.raises(DataError, match=r"c\.safetensors"):
        load(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(DataError, match=r"c\.safetensors"):
        load(path)


@pytest.mark.parametrize("load", [load_checkpoint, mlic.load_model])
def test_safetensors_file_that_is_no_checkpoint_is_refused(tmp_path, load):
    save_tensors(tmp_path / "c.safetensors", {"w": np.zeros(1)}, {})
    with pytest.raises(CheckpointError):
        load(tmp_path / "c.safetensors")
    save_file({"w": np.zeros(1)}, tmp_path / "c.safetensors")
    with pytest.raises(DataError, match="no file of mlic"):
        load(tmp_path / "c.safetensors")


def test_fingerprint_follows_weights_and_labels(checkpoint):
    weights = {name: value.copy() for name, value in checkpoint.weights.items()}
    assert Checkpoint(weights, checkpoint.info).fingerprint == checkpoint.fingerprint
    weights["head.linear.bias"][0] += 1
    assert Checkpoint(weights, checkpoint.info).fingerprint != checkpoint.fingerprint


def test_labels_that_do_not_match_their_fingerprint_are_refused(checkpoint, tmp_path):
    swapped = checkpoint.info.model_copy(update={"labels": ("green", "red", "blue", "bright")})
    with pytest.raises(CheckpointError, match="fingerprint"):
        Checkpoint.from_tensors(*Checkpoint(checkpoint.weights, swapped).to_tensors())
    dataset = SafetensorsDataset(str(tmp_path / "c.safetensors"), cls=CHECKPOINT)
    dataset.save(Checkpoint(checkpoint.weights, swapped))
    with pytest.raises(DatasetDataError, match=r"c\.safetensors"):
        dataset.load()


@pytest.mark.parametrize("metadata", [{}, {"info": "{}"}, {"info": "no JSON"}])
def test_metadata_without_a_description_are_refused(metadata):
    with pytest.raises(CheckpointError):
        Checkpoint.from_tensors({"w": np.zeros(1)}, metadata)


def test_weights_of_another_architecture_are_refused(checkpoint):
    other = checkpoint.info.model_copy(update={"model": ModelOptions(backbone="test_resnet")})
    with pytest.raises(CheckpointError) as caught:
        Checkpoint(checkpoint.weights, other).build()
    assert caught.value.fields == {"name": "baseline"}


def test_file_holds_nothing_but_tensors_and_text(checkpoint, tmp_path):
    through_catalog(checkpoint, tmp_path)
    assert set(load_file(tmp_path / "c.safetensors")) == set(checkpoint.weights)
