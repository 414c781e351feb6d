from pathlib import Path

import numpy as np
import pytest

from mlic.labels import LabelSpace
from mlic.labels.statistics import count_labels

SHARED = Path(__file__).resolve().parents[2] / "../shared/data"


@pytest.fixture(scope="session")
def shared():
    if not SHARED.is_dir():
        pytest.skip(f"the real label sets are not at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def coco(shared):
    with np.load(shared / "labels/coco2014_train.npz") as file:
        return count_labels(file["labels"], LabelSpace(tuple(file["classes"].tolist())))


@pytest.fixture(scope="session")
def scenes():
    """Statistics of 12 labels in three scenes of four; labels of other scenes are rare."""
    rng = np.random.default_rng(0)
    scene = rng.integers(3, size=400)
    at_home = np.arange(12) // 4 == scene[:, None]
    states = (rng.random((400, 12)) < np.where(at_home, 0.6, 0.05)).astype(np.int8)
    return count_labels(states, LabelSpace(tuple("abcdefghijkl")))
