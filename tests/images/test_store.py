"""Stores of decoded images: what comes back, and which damage is refused."""

import copy
import json
import pickle
import shutil

import numpy as np
import pytest

from mlic.errors import DataError
from mlic.images.store import ImageStore

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
IDS = [f"p{i}" for i in range(5)]


@pytest.fixture
def stored(tmp_path):
    ImageStore.from_arrays(IDS, PIXELS).save(tmp_path / "store")
    return ImageStore.open(tmp_path / "store")


def test_store_comes_back_memory_mapped_and_read_only(stored):
    assert isinstance(stored.pixels, np.memmap)
    assert (len(stored), stored.size, stored.ids.tolist()) == (5, 8, IDS)
    np.testing.assert_array_equal(stored.pixels, PIXELS)
    with pytest.raises(ValueError, match="read-only"):
        stored.pixels[0] = 0
    assert sorted(path.name for path in stored.folder.iterdir()) == ["pixels.json", "pixels.npy"]


def test_fingerprint_depends_on_ids_and_pixels_only(stored):
    assert stored.fingerprint == ImageStore.from_arrays(IDS, PIXELS).fingerprint
    assert stored.fingerprint != ImageStore.from_arrays(IDS[::-1], PIXELS).fingerprint
    other = PIXELS.copy()
    other[4, 7, 7, 2] ^= 1
    assert stored.fingerprint != ImageStore.from_arrays(IDS, other).fingerprint


def test_rows_follow_the_ids_asked_for(stored):
    assert stored.rows(["p3", "p0"]).tolist() == [3, 0]
    with pytest.raises(DataError) as error:
        stored.rows(["p0", "p9"])
    assert error.value.fields == {"name": "p9"}


def test_copy_of_a_store_is_its_folder(stored):
    assert len(pickle.dumps(stored)) < 1000
    for twin in (pickle.loads(pickle.dumps(stored)), copy.deepcopy(stored)):
        assert isinstance(twin.pixels, np.memmap)
        np.testing.assert_array_equal(twin.pixels, PIXELS)
    in_memory = ImageStore.from_arrays(IDS, PIXELS)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(in_memory)).pixels, PIXELS)


def test_saving_a_store_in_its_own_folder_writes_nothing(stored):
    before = (stored.folder / "pixels.npy").stat().st_mtime_ns
    stored.save(stored.folder)
    assert (stored.folder / "pixels.npy").stat().st_mtime_ns == before


def cut_pixels(folder):
    with (folder / "pixels.npy").open("r+b") as file:
        file.truncate(500)


def drop_an_id(folder):
    content = json.loads((folder / "pixels.json").read_text())
    content["description"]["ids"] = IDS[:4]
    (folder / "pixels.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    "damage",
    [
        cut_pixels,
        drop_an_id,
        lambda folder: (folder / "pixels.json").write_text("{}"),
        lambda folder: (folder / "pixels.json").write_text("{"),
        lambda folder: (folder / "pixels.json").unlink(),
        lambda folder: (folder / "pixels.npy").unlink(),
        lambda folder: (folder / "pixels.npy").write_bytes(b""),
        shutil.rmtree,
    ],
)
def test_damaged_store_is_refused(stored, damage):
    damage(stored.folder)
    with pytest.raises(DataError) as error:
        ImageStore.open(stored.folder)
    assert error.value.fields["path"] == stored.folder / "pixels.npy"


@pytest.mark.parametrize(
    "pixels", [PIXELS[:4], PIXELS.astype(np.float32), PIXELS[:, :4], PIXELS[..., :1]]
)
def test_ids_and_pixels_must_fit(pixels):
    with pytest.raises(DataError) as error:
        ImageStore.from_arrays(IDS, pixels)
    assert error.value.fields["found"] == pixels.shape
