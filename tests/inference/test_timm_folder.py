"""A folder that timm loads gives the logits of mlic."""

import numpy as np
import pytest
import timm
import torch

from mlic.datasets import TimmFolderDataset
from mlic.errors import CheckpointError
from mlic.images.preprocess import preprocess_whole
from mlic.inference.timm_folder import export_timm
from tests.inference.test_onnx_file import MODELS, NAMES, model_of, pixels_of


@pytest.mark.parametrize("name", ["convolutional", "tokens"])
def test_timm_gives_the_same_logits(name, tmp_path):
    model = model_of(MODELS[name])
    TimmFolderDataset(filepath=str(tmp_path / "student_timm")).save(export_timm(model.checkpoint))
    loaded = timm.create_model(f"local-dir:{tmp_path / 'student_timm'}", pretrained=True).eval()
    pixels = pixels_of(3)
    config = timm.data.resolve_model_data_config(loaded)
    batch = preprocess_whole(torch.from_numpy(pixels), 32, config["mean"], config["std"])
    with torch.inference_mode():
        found = loaded(batch).numpy()
    np.testing.assert_allclose(found, model.logits(pixels), atol=1e-5)
    assert tuple(config["input_size"]) == (3, 32, 32)
    assert tuple(loaded.pretrained_cfg["label_names"]) == NAMES


def test_folder_is_read_as_it_was_written(tmp_path):
    folder = export_timm(model_of(MODELS["convolutional"]).checkpoint)
    dataset = TimmFolderDataset(filepath=str(tmp_path / "a"))
    dataset.save(folder)
    again = dataset.load()
    assert again.config == folder.config
    assert all(np.array_equal(again.weights[name], value) for name, value in folder.weights.items())


def test_head_that_timm_does_not_have_is_refused():
    with pytest.raises(CheckpointError) as raised:
        export_timm(model_of(MODELS["attention"]).checkpoint)
    assert raised.value.fields["found"] == "transformer_encoder"
