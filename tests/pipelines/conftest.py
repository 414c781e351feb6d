import shutil
from pathlib import Path

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

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


ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def copy_project():
    """Copies of the project's configuration, where runs leave their files."""

    def copy(folder):
        shutil.copytree(ROOT / "conf", folder / "conf")
        for name in ("pyproject.toml", ".telemetry"):
            shutil.copy(ROOT / name, folder)
        (folder / "src").mkdir()
        return folder

    return copy


@pytest.fixture(scope="session")
def run_project():
    """Whole runs, as `kedro run` makes them."""

    def run(project, /, env=None, pipelines=None, **parameters):
        bootstrap_project(project)
        with KedroSession.create(project, env=env, runtime_params=parameters) as session:
            session.run(pipeline_names=pipelines)

    return run
