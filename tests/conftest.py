"""What every test starts from: one seed, one thread, and a data set of a few dozen pictures."""

import os
import sys

import numpy as np
import pytest
from hypothesis import settings

from mlic.images.store import PictureStore
from mlic.labels import LabelMatrix, LabelSpace

os.environ["KEDRO_DISABLE_TELEMETRY"] = "1"

# the same examples in every run, however slow the machine is
settings.register_profile("mlic", deadline=None, derandomize=True)
settings.load_profile("mlic")

collect_ignore_glob = ["*conftest.py"]  # they hold no doctests, and share one module name
NAMES = ("red", "green", "blue", "bright")
SPLITS = ("train",) * 6 + ("validation",) * 2 + ("test",)


@pytest.fixture(autouse=True)
def one_thread_one_seed():
    """Torch is imported where it is there already; tests without it stay quick."""
    np.random.seed(0)  # noqa: NPY002  what scikit-learn falls back on
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        torch.manual_seed(0)
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def pictures():
    """36 pictures of 32 pixels; each colour is strong where its label is present."""
    rng = np.random.default_rng(7)
    present = rng.random((36, 3)) < 0.5
    levels = np.where(present, 170, 60)[:, None, None, :]
    pixels = (levels + rng.integers(0, 60, (36, 32, 32, 3))).astype(np.uint8)
    return PictureStore.from_arrays([f"p{i:02d}" for i in range(36)], pixels)


@pytest.fixture(scope="session")
def labels(pictures):
    """Four labels that can be seen, every state known, in all three splits."""
    means = pictures.pixels.mean(axis=(1, 2))
    states = np.column_stack([means > 130, means.mean(axis=1) > 140]).astype(np.int8)
    return LabelMatrix(LabelSpace(NAMES), pictures.ids, states, np.resize(SPLITS, len(pictures)))
