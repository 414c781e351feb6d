"""Images with the same pixels are found, and those in several splits are warned of."""

import numpy as np
import pytest

from mlic.images.duplicates import find_duplicates
from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix, LabelSpace
from mlic.pipelines.data_preparation.nodes import list_duplicates

PIXELS = np.random.default_rng(0).integers(0, 255, (300, 8, 8, 3), dtype=np.uint8)


def store(**copies):
    pixels = PIXELS.copy()
    for target, source in copies.items():
        pixels[int(target[1:])] = pixels[source]
    return ImageStore.from_arrays([f"00{row}" for row in range(300)], pixels)


def test_copies_are_found_wherever_they_lie():
    assert find_duplicates(store()) == []
    assert find_duplicates(store(_299=3, _7=3, _100=256)) == [[3, 7, 299], [100, 256]]


def test_one_pixel_makes_another_image():
    images = store(_5=4)
    images.pixels[5, 7, 7, 2] ^= 1
    assert find_duplicates(images) == []


@pytest.mark.parametrize(("split", "is_warned"), [("train", False), ("test", True)])
def test_copies_are_warned_of(split, is_warned, caplog):
    images = store(_299=3)
    splits = np.array(["train"] * 299 + [split])
    states = np.ones((300, 1), dtype=np.int8)
    table = list_duplicates(images, LabelMatrix(LabelSpace(("a",)), images.ids, states, splits))
    assert table.to_dict("list") == {
        "group": [0, 0], "id": ["003", "00299"], "split": ["train", split]
    }  # fmt: skip
    assert "1 images occur more than once" in caplog.text
    assert ("1 of them in several splits" in caplog.text) is is_warned


def test_without_copies_the_table_is_empty(images, labels, caplog):
    assert list_duplicates(images, labels).shape == (0, 3) and not caplog.messages
