import copy
import json
import pickle
import shutil
from collections import namedtuple

import numpy as np
import pytest

from mlic.errors import DataError
from mlic.images.store import ImageStore

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
IDS = [f"p{i}" for i in range(5)]


@pytest.fixture
def stored(tmp_path):
    return ImageStore.from_arrays(IDS, PIXELS).save(tmp_path / "store")


def test_a_store_comes_back_memory_mapped_and_read_only(stored):
    assert isinstance(stored.pixels, np.memmap)
    assert (len(stored), stored.size, stored.ids.tolist()) == (5, 8, IDS)
    np.testing.assert_array_equal(stored.pixels, PIXELS)
    with pytest.raises(ValueError, match="read-only"):
        stored.pixels[0] = 0
    assert sorted(path.name for path in stored.folder.iterdir()) == ["pixels.npy", "store.json"]


def test_the_fingerprint_is_of_ids_and_pixels_alone(stored):
    assert stored.fingerprint == ImageStore.from_arrays(IDS, PIXELS).fingerprint
    assert stored.fingerprint != ImageStore.from_arrays(IDS[::-1], PIXELS).fingerprint
    other = PIXELS.copy()
    other[4, 7, 7, 2] ^= 1
    assert stored.fingerprint != ImageStore.from_arrays(IDS, other).fingerprint


def test_rows_follow_the_ids_asked_for(stored):
    assert stored.rows(["p3", "p0"]).tolist() == [3, 0]
    with pytest.raises(DataError, match=r"'p9' is not among the 5"):
        stored.rows(["p0", "p9"])


def test_a_copy_of_a_store_is_its_address(stored):
    assert len(pickle.dumps(stored)) < 1000
    for twin in (pickle.loads(pickle.dumps(stored)), copy.deepcopy(stored)):
        assert isinstance(twin.pixels, np.memmap)
        np.testing.assert_array_equal(twin.pixels, PIXELS)
    in_memory = ImageStore.from_arrays(IDS, PIXELS)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(in_memory)).pixels, PIXELS)


def test_saving_where_it_lies_writes_nothing(stored):
    before = (stored.folder / "pixels.npy").stat().st_mtime_ns
    assert stored.save(stored.folder) is stored
    assert (stored.folder / "pixels.npy").stat().st_mtime_ns == before


def damage_truncate(folder):
    with (folder / "pixels.npy").open("r+b") as file:
        file.truncate(500)


def damage_ids(folder):
    about = json.loads((folder / "store.json").read_text())
    (folder / "store.json").write_text(json.dumps(about | {"ids": IDS[:4]}))


def damage_schema(folder):
    about = json.loads((folder / "store.json").read_text())
    (folder / "store.json").write_text(json.dumps(about | {"schema": 0}))


@pytest.mark.parametrize(
    "damage",
    [
        damage_truncate,
        damage_ids,
        damage_schema,
        lambda folder: (folder / "store.json").write_text("{"),
        lambda folder: (folder / "store.json").unlink(),
        lambda folder: (folder / "pixels.npy").unlink(),
        lambda folder: (folder / "pixels.npy").write_bytes(b""),
        shutil.rmtree,
    ],
)
def test_damage_is_told_with_the_mend(stored, damage):
    damage(stored.folder)
    with pytest.raises(DataError, match=r"no whole image store in .*store .*run data_preparation"):
        ImageStore.open(stored.folder)


def test_a_full_disk_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
    with pytest.raises(DataError, match="free: make room"):
        ImageStore.from_arrays(IDS, PIXELS).save(tmp_path / "store")
    assert not list((tmp_path / "store").iterdir())


@pytest.mark.parametrize(
    "pixels", [PIXELS[:4], PIXELS.astype(np.float32), PIXELS[:, :4], PIXELS[..., :1]]
)
def test_ids_and_pixels_must_fit(pixels):
    with pytest.raises(DataError, match="do not fit pixels"):
        ImageStore.from_arrays(IDS, pixels)
