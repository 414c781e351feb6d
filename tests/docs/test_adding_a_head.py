"""The head of docs/adding_a_head.md is found by its name, can be trained and passes its test."""

import doctest
import importlib
import re
import sys
from pathlib import Path

import pytest

from mlic.images.options import DataOptions
from mlic.models import heads
from mlic.models.options import ModelOptions
from mlic.pipelines.baseline_training.nodes import train_baseline
from mlic.training.options import TrainingOptions

PAGE = Path(__file__).resolve().parents[2] / "docs/adding_a_head.md"
MODULE = "mlic.models.heads.soft_places"


@pytest.fixture
def page_test(tmp_path):
    """The test of the page, as text, while mlic finds the head of the page by its name."""
    head, test = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "soft_places.py").write_text(head, encoding="utf-8")
    # in place, because the specification of the package has the same list
    heads.__path__.append(str(tmp_path))
    importlib.invalidate_caches()
    yield test
    heads.__path__.remove(str(tmp_path))
    sys.modules.pop(MODULE, None)


def test_page_test_passes(page_test):
    names = {}
    exec(page_test, names)
    tests = [test for name, test in names.items() if name.startswith("test_")]
    assert len(tests) == 4
    for test in tests:
        test()
    outcome = doctest.testmod(sys.modules[MODULE])
    assert outcome.attempted and not outcome.failed


@pytest.mark.usefixtures("page_test")
def test_head_of_the_page_can_be_trained(images, labels, tmp_path):
    model = ModelOptions(
        backbone="resnet10t",
        backbone_options={"channels": [8, 8, 16, 16], "stem_width": 8},
        head="soft_places",
        head_options={"sharpness": 8},
    )
    training = TrainingOptions(epochs=1, batch_size=8, learning_rate=0.01, threads=1)
    checkpoint = train_baseline(
        tmp_path,
        images=images,
        labels=labels,
        data=DataOptions(image_size=32),
        model=model,
        training=training,
        seed=0,
    )
    assert "head.linear.weight" in checkpoint.weights
    assert checkpoint.build().head.sharpness == 8
