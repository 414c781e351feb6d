import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mlic.errors import CheckpointError, DataError, LabelError
from mlic.evaluation.predictions import Predictions
from mlic.labels import LabelSpace

SPACE = LabelSpace(("ant", "bee", "cat", "dog"))


@pytest.fixture
def predictions():
    values = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    return Predictions(
        np.array(["p0", "p1", "ü2"]),
        {"one": values[:, [3, 0]].copy(), "two": values[:, [1, 2]].copy(), "all": values},
        {"one": ("dog", "ant"), "two": ("bee", "cat"), "all": SPACE.names},
    )


def test_joined_puts_columns_in_label_order(predictions):
    joined = predictions.joined(SPACE, ["two", "one"])
    np.testing.assert_array_equal(joined, predictions.logits["all"])
    assert joined.dtype == np.float32


def test_joined_follows_the_given_label_space(predictions):
    turned = LabelSpace(SPACE.names[::-1])
    np.testing.assert_array_equal(
        predictions.joined(turned, ["one", "two"]), predictions.logits["all"][:, ::-1]
    )


def test_a_label_that_no_model_knows_is_refused(predictions):
    with pytest.raises(CheckpointError) as error:
        predictions.joined(SPACE, ["one"])
    assert error.value.fields == {"label": "bee"}


def test_a_logit_that_is_nan_is_refused(predictions):
    predictions.logits["one"][1, 0] = np.nan
    with pytest.raises(CheckpointError) as error:
        predictions.joined(SPACE, ["one", "two"])
    assert error.value.fields == {"label": "dog"}


def test_a_label_outside_the_space_is_refused(predictions):
    with pytest.raises(LabelError) as error:
        predictions.joined(LabelSpace(SPACE.names[:3]), ["one", "two"])
    assert error.value.fields == {"label": "dog"}


def test_predictions_read_from_a_file_equal_the_original(predictions, tmp_path):
    tensors, metadata = predictions.to_tensors()
    save_file(tensors, tmp_path / "predictions.safetensors", metadata)
    back = Predictions.from_tensors(load_file(tmp_path / "predictions.safetensors"), metadata)
    assert back.ids.tolist() == predictions.ids.tolist()
    assert back.labels == predictions.labels
    assert back.logits.keys() == predictions.logits.keys()
    for model, logits in predictions.logits.items():
        np.testing.assert_array_equal(back.logits[model], logits)
        assert back.logits[model].dtype == np.float32


def test_predictions_of_other_images_are_refused(predictions):
    predictions.require_images(np.array(["p0", "p1", "ü2"]))
    for others in (["p1", "p0", "ü2"], ["p0", "p1"]):
        with pytest.raises(DataError) as error:
            predictions.require_images(np.array(others))
        assert error.value.fields == {"found": 3, "expected": len(others)}
