import pytest

from mlic.images.options import DataOptions
from mlic.models.options import ModelOptions
from mlic.training.options import TrainingOptions


@pytest.fixture
def settings():
    """What every training node takes besides pictures and labels."""
    tiny = {"channels": [8, 8, 16, 16], "stem_width": 8}
    return {
        "data": DataOptions(image_size=32),
        "model": ModelOptions(backbone="resnet10t", backbone_options=tiny),
        "training": TrainingOptions(
            epochs=1,
            batch_size=8,
            learning_rate=0.01,
            threads=1,
            augmentation={"views": 2},
            overrides={"teacher": {"epochs": 2}},
        ),
        "seed": 0,
    }
