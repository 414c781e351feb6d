"""Fixtures of all tests: one seed, one thread, and a data set of a few dozen images."""

import contextlib
import os
import shutil
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings as hypothesis_settings
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from mlic.images.options import DataOptions
from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix, LabelSpace
from mlic.labels.context import LabelContext
from mlic.models.options import ModelOptions
from mlic.training.job import TrainingJob
from mlic.training.options import TrainingOptions

os.environ["KEDRO_DISABLE_TELEMETRY"] = "1"

# property tests use the same examples in every run, and have no deadline on slow machines
hypothesis_settings.register_profile("mlic", deadline=None, derandomize=True)
hypothesis_settings.load_profile("mlic")

collect_ignore_glob = ["*conftest.py"]  # they have no doctests, and share one module name
NAMES = ("red", "green", "blue", "bright")
ROOT = Path(__file__).resolve().parents[1]
SPLITS = ("train",) * 6 + ("validation",) * 2 + ("test",)

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


@pytest.fixture(autouse=True)
def one_thread_one_seed():
    """Seed NumPy and torch; torch is not imported for tests that do not use it."""
    np.random.seed(0)  # noqa: NPY002  what scikit-learn falls back on
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        torch.manual_seed(0)
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def images():
    """36 images of 32 pixels; each colour is strong where its label is present."""
    rng = np.random.default_rng(7)
    present = rng.random((36, 3)) < 0.5
    levels = np.where(present, 170, 60)[:, None, None, :]
    pixels = (levels + rng.integers(0, 60, (36, 32, 32, 3))).astype(np.uint8)
    return ImageStore.from_arrays([f"p{i:02d}" for i in range(36)], pixels)


@pytest.fixture(scope="session")
def labels(images):
    """Four labels that the images show, every state known, in all three splits."""
    means = images.pixels.mean(axis=(1, 2))
    states = np.column_stack([means > 130, means.mean(axis=1) > 140]).astype(np.int8)
    return LabelMatrix(LabelSpace(NAMES), images.ids, states, np.resize(SPLITS, len(images)))


@pytest.fixture
def settings():
    """Fields of `TrainingInputs` besides images and labels."""
    return {
        "data": DataOptions(image_size=32),
        "model": TINY,
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


@pytest.fixture(scope="session")
def copy_project():
    """Copy the project's configuration into a folder, in which runs then write their files."""

    def copy(folder):
        shutil.copytree(ROOT / "conf", folder / "conf")
        for name in ("pyproject.toml", ".telemetry"):
            shutil.copy(ROOT / name, folder)
        (folder / "src").mkdir()
        return folder

    return copy


@pytest.fixture(scope="session")
def run_project():
    """Run pipelines of a project folder in the way `kedro run` does."""

    def run(project, /, env=None, pipelines=None, runner=None, **parameters):
        bootstrap_project(project)
        # Kedro-Viz writes the figures of a run to .viz of the working directory's project
        session = KedroSession.create(project, env=env, runtime_params=parameters)
        with contextlib.chdir(project), session:
            session.run(pipeline_names=pipelines, runner=runner)

    return run


@pytest.fixture
def make_job(images, labels):
    """Make a job for the tiny data set; keywords replace fields of the job or of its options."""

    def make(**changes):
        job_keys = {field.name for field in fields(TrainingJob)} - {"options"}
        own = {key: changes.pop(key) for key in job_keys & set(changes)}
        fixed = {
            "name": "baseline",
            "role": "baseline",
            "labels": labels,
            "images": images,
            "image_size": 32,
            "model": TINY,
            "context": LabelContext(own.get("labels", labels).space),
            "seed": 3,
            "view_seed": 0,
        }
        return TrainingJob(options=TrainingOptions(**{**BASE, **changes}), **{**fixed, **own})

    return make
