"""Reading of image files into memory."""

import numpy as np
import pytest
from PIL import Image

from mlic.errors import DataError
from mlic.images.read import read_images


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{shade}.png" for shade in (50, 100, 150)]
    for path in paths:
        Image.new("RGB", (20, 10), (int(path.stem),) * 3).save(path)
    return paths


@pytest.mark.parametrize("workers", [None, 1, 2])
def test_images_are_read_in_the_given_order(files, workers):
    images = read_images([files[2], str(files[0]), files[1]], size=8, workers=workers)
    assert images.pixels.shape == (3, 8, 8, 3) and images.size == 8
    assert images.pixels[:, 4, 4, 0].tolist() == [150, 50, 100]
    assert images.ids.tolist() == [str(files[2]), str(files[0]), str(files[1])]
    assert images.rows([str(files[1])]).tolist() == [2]


def test_an_iterator_of_paths_is_read_completely(files):
    assert len(read_images(iter(files), size=8)) == 3
    assert np.array_equal(read_images([], size=8).pixels, np.zeros((0, 8, 8, 3), dtype=np.uint8))


@pytest.mark.parametrize("content", [None, b"not an image"])
def test_missing_or_unreadable_image_is_named(files, tmp_path, content):
    bad = tmp_path / "bad.png"
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.png") as caught:
        read_images([*files, bad], size=8)
    assert caught.value.fields["path"] == bad
