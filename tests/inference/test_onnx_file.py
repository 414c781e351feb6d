"""ONNX files give torch's calibrated probabilities, for every head and any batch size."""

import json

import numpy as np
import pytest
import torch

from mlic.errors import CheckpointError, ParameterError
from mlic.inference import onnx_file
from mlic.inference.model import TrainedModel
from mlic.inference.onnx_file import export_onnx
from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.labels.statistics import count_labels
from mlic.models.classifier import build_classifier
from mlic.models.options import ModelOptions
from mlic.training.calibration import Calibration
from mlic.training.checkpoint import Checkpoint, CheckpointInfo
from mlic.training.options import Choice

onnxruntime = pytest.importorskip("onnxruntime")
NAMES = ("cat", "dog", "<sofa>")
SMALL = {"width": 16, "heads": 2, "feedforward": 16}
MODELS = {
    "convolutional": {"backbone": "test_resnet"},
    "tokens": {"backbone": "test_vit", "backbone_options": {"img_size": 32, "patch_size": 8}},
    "attention": {
        "backbone": "test_resnet",
        "head": "transformer_encoder",
        "head_options": {**SMALL, "layers": 1},
    },
    "cosine": {"backbone": "test_resnet", "head": "cosine"},
    "decoder": {
        "backbone": "test_resnet",
        "head": "ml_decoder",
        "head_options": {**SMALL, "queries": 2, "scale": 10},
    },
    "graph": {
        "backbone": "test_resnet",
        "head": "graph_cosine",
        "head_options": {"layer": "gat", "pooling": "avg+max"},
    },
}


def model_of(options, decoded_size=32, seed=0):
    """An untrained model with a calibration that differs from label to label."""
    torch.manual_seed(seed)
    space = LabelSpace(NAMES)
    counts = count_labels(np.array([[1, 1, 0], [1, 0, 1]], np.int8), space)
    module = build_classifier(ModelOptions(**options), LabelContext(space, counts)).eval()
    info = CheckpointInfo(
        name="student",
        role="student",
        labels=NAMES,
        label_fingerprint=space.fingerprint,
        model=ModelOptions(**options),
        image_size=32,
        decoded_size=decoded_size,
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.25, 0.3),
        components={},
        epoch=1,
        averaged=False,
        validation_map=None,
        seconds=0.0,
        history=[],
        calibration=Calibration(
            loss=Choice(name="asymmetric"),
            slopes=(0.5, 1.0, 1.5),
            biases=(3.0, 2.0, 1.0),
            thresholds=(0.2, 0.3, 0.4),
            rule="expected_f1",
        ),
    )
    weights = {name: value.numpy() for name, value in module.state_dict().items()}
    return TrainedModel(Checkpoint(weights, info), device="cpu")


def pixels_of(number, size=32):
    return np.random.default_rng(number).integers(0, 256, (number, size, size, 3), dtype=np.uint8)


def run(content, **inputs):
    return onnxruntime.InferenceSession(content).run(["probabilities", "logits"], inputs)


@pytest.mark.parametrize("name", MODELS)
def test_probabilities_are_those_of_torch_for_every_batch_size(name):
    model = model_of(MODELS[name])
    content = export_onnx(model, pixels_of(3))
    for number in (1, 2, 5):
        pixels = pixels_of(number)
        probabilities, logits = run(content, images=pixels)
        np.testing.assert_allclose(probabilities, model.probabilities(pixels), atol=1e-4)
        np.testing.assert_allclose(logits, model.logits(pixels), atol=1e-3)


@pytest.mark.parametrize("backbone", ["convolutional", "tokens"])
def test_known_labels_are_a_second_input(backbone):
    head = {"head": "c_tran", "head_options": {**SMALL, "layers": 1}}
    model = model_of({**MODELS[backbone], **head})
    content = export_onnx(model, pixels_of(3))
    rng = np.random.default_rng(0)
    for number in (1, 2, 5):
        pixels, known = pixels_of(number), rng.integers(-1, 2, (number, 3))
        probabilities, logits = run(content, images=pixels, known=known)
        expected = model.probabilities(pixels, known=known)
        np.testing.assert_allclose(probabilities, expected, atol=1e-4)
        np.testing.assert_array_equal(probabilities[known >= 0], known[known >= 0])
        np.testing.assert_allclose(logits, model.logits(pixels, known=known), atol=1e-3)


def test_images_are_resized_in_the_graph_as_in_torch():
    model = model_of(MODELS["convolutional"], decoded_size=44)
    pixels = pixels_of(2, size=44)
    probabilities, _ = run(export_onnx(model, pixels), images=pixels)
    np.testing.assert_allclose(probabilities, model.probabilities(pixels), atol=1e-4)


def test_metadata_are_all_that_is_needed_to_use_the_file():
    model = model_of(MODELS["convolutional"])
    session = onnxruntime.InferenceSession(export_onnx(model, pixels_of(1)))
    found = session.get_modelmeta().custom_metadata_map
    about = {name: json.loads(value) for name, value in found.items()}
    assert tuple(about["labels"]) == NAMES
    assert about["thresholds"] == [0.2, 0.3, 0.4] and about["decoded_size"] == 32
    assert about["fingerprint"] == model.checkpoint.fingerprint


def test_file_that_differs_from_torch_is_not_kept(monkeypatch):
    model = model_of(MODELS["convolutional"])
    other = model_of(MODELS["convolutional"], seed=1)
    monkeypatch.setattr(model, "compute_logits", other.compute_logits)
    with pytest.raises(CheckpointError) as raised:
        export_onnx(model, pixels_of(2))
    assert raised.value.fields["found"] > raised.value.fields["expected"]


def test_missing_library_is_named(monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None)
    with pytest.raises(ParameterError) as raised:
        export_onnx(model_of(MODELS["convolutional"]), pixels_of(1))
    assert raised.value.fields["name"] == "onnx"
