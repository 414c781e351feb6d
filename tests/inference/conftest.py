"""A model that was trained on the tiny data set, as a file."""

import pytest

from mlic.caching.tensors import save_tensors
from mlic.inference.calibrate import calibrate_checkpoint
from mlic.inference.options import CalibrationOptions
from mlic.training.train import make_task, train


@pytest.fixture
def checkpoint(make_job, images, labels):
    """A trained and calibrated checkpoint."""
    job = make_job()
    trained = train(make_task(job))[0]
    return calibrate_checkpoint(trained, images, labels, job.options, CalibrationOptions())


@pytest.fixture
def model_file(checkpoint, tmp_path):
    """The checkpoint's file."""
    save_tensors(tmp_path / "models/student.safetensors", *checkpoint.to_tensors())
    return tmp_path / "models/student.safetensors"
