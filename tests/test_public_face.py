"""What `import mlic` offers: every name resolves, and nothing is imported before it is used."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import mlic
from mlic.caching.tensors import save_tensors
from mlic.training.checkpoint import CheckpointInfo

HEAVY = "numpy scipy pandas torch timm mlflow sklearn networkx kedro PIL"


def test_import_is_light():
    program = (
        "import sys, mlic\n"
        f"found = {{*{HEAVY.split()}}} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", sorted(mlic.__all__))
def test_every_name_is_there_and_documented(name):
    assert getattr(mlic, name).__doc__, name
    assert name in dir(mlic)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="count_label"):
        _ = mlic.count_label


def test_names_are_the_objects_of_their_modules():
    from mlic.labels.statistics import count_labels

    assert mlic.count_labels is count_labels
    assert issubclass(mlic.errors.DataError, mlic.MlicError)


@pytest.fixture
def checkpoint():
    """An untrained model of three labels, with its description."""
    context = mlic.LabelContext(mlic.LabelSpace(("cat", "dog", "sofa")))
    options = mlic.ModelOptions(backbone="test_resnet")
    model = mlic.build_classifier(options, context)
    info = CheckpointInfo(
        name="student",
        role="student",
        labels=context.space.names,
        label_fingerprint=context.space.fingerprint,
        model=options,
        image_size=32,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        components={},
        epoch=1,
        averaged=False,
        validation_map=None,
        seconds=0.0,
        history=[],
    )
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    return mlic.Checkpoint(weights, info)


@pytest.fixture
def file(checkpoint, tmp_path):
    save_tensors(tmp_path / "student.safetensors", *checkpoint.to_tensors())
    return tmp_path / "student.safetensors"


def test_loaded_checkpoint_is_the_saved_one(checkpoint, file):
    loaded = mlic.load_checkpoint(file)
    assert loaded.fingerprint == checkpoint.fingerprint
    assert loaded.info == checkpoint.info


def test_loaded_model_predicts_as_the_saved_one(checkpoint, file):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), dtype=np.uint8)
    info = checkpoint.info
    batch = mlic.preprocess_whole(torch.from_numpy(pixels), info.image_size, info.mean, info.std)
    module = mlic.load_model(file, device="cpu").module
    assert not module.training
    with torch.inference_mode():
        torch.testing.assert_close(module(batch), checkpoint.build()(batch), rtol=0, atol=0)


def test_prediction_imports_neither_kedro_nor_mlflow(file, tmp_path):
    program = f"""
import sys
import mlic
mlic.load_model({str(file)!r})
assert not {{"kedro", "mlflow", "plotly"}} & set(sys.modules), "heavy imports"
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_missing_checkpoint_is_an_error_with_its_path(tmp_path):
    with pytest.raises(mlic.errors.DataError) as error:
        mlic.load_model(tmp_path / "student.safetensors")
    assert "student.safetensors" in str(error.value)
