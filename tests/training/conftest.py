import pytest

from mlic.models.options import ModelOptions
from mlic.training.job import TrainingJob
from mlic.training.options import TrainingOptions

TINY = ModelOptions(
    backbone="resnet10t", backbone_options={"channels": [8, 8, 16, 16], "stem_width": 8}
)
BASE = {
    "epochs": 1,
    "batch_size": 8,
    "learning_rate": 0.01,
    "ema_decay": 0.9,
    "precision": "32",
    "threads": 1,
    "augmentation": {"views": 2},
}


@pytest.fixture
def make_job(pictures, labels):
    """A job of the tiny data set; keywords of the job or of its options replace the defaults."""

    def make(**changes):
        job_keys = {"name", "role", "labels", "model", "seed", "targets", "distillation"}
        job_keys |= {"view_seed", "pictures", "image_size", "provenance"}
        own = {key: changes.pop(key) for key in job_keys & set(changes)}
        fixed = {
            "name": "baseline",
            "role": "baseline",
            "labels": labels,
            "pictures": pictures,
            "image_size": 32,
            "model": TINY,
            "seed": 3,
            "view_seed": 0,
        }
        return TrainingJob(options=TrainingOptions(**{**BASE, **changes}), **{**fixed, **own})

    return make
