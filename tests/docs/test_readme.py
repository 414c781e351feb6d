"""The Python example of README.md works on a trained checkpoint."""

import re
from pathlib import Path

import pytest
import yaml
from PIL import Image

from mlic.caching.tensors import save_tensors
from mlic.images.options import DataOptions
from mlic.labels.options import PartitionOptions
from mlic.models.options import ModelOptions
from mlic.pipelines.baseline_training.nodes import train_baseline
from mlic.training.options import TrainingOptions

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture
def project(images, labels, tmp_path, monkeypatch):
    """A folder with a checkpoint and an image where the example expects them."""
    model = {"backbone": "resnet10t", "backbone_options": {"channels": [8, 8, 16, 16]}}
    training = TrainingOptions(epochs=1, batch_size=8, learning_rate=0.01, threads=1)
    checkpoint = train_baseline(
        tmp_path / "store",
        images=images,
        labels=labels,
        data=DataOptions(image_size=32),
        model=ModelOptions(**model),
        training=training,
        seed=0,
    )
    (tmp_path / "data/06_models/base").mkdir(parents=True)
    save_tensors(tmp_path / "data/06_models/base/student.safetensors", *checkpoint.to_tensors())
    (tmp_path / "kitchen").mkdir()
    Image.new("RGB", (60, 40), (200, 100, 50)).save(tmp_path / "kitchen/001.jpg")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("project")
def test_example_of_a_trained_model_gives_a_probability_for_each_label(labels):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    names = {}
    exec(example, names)
    probabilities = names["table"][list(labels.space.names)].to_numpy()
    assert probabilities.shape == (1, len(labels.space))
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_example_of_own_data_has_enough_labels_for_its_groups():
    text = README.read_text("utf-8")
    (rows,) = re.findall(r"```csv\n(.*?)```", text, re.DOTALL)
    (configuration,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    cells = [line.split(",")[1] for line in rows.splitlines()[1:]]
    labels = {name.strip("?") for cell in cells for name in cell.split(";")}
    options = PartitionOptions(**yaml.safe_load(configuration)["partition"])
    assert options.too_many_parts(len(labels)) is None
