"""Datasets of what is too large for the memory."""

import pickle

import numpy as np
import pytest

from mlic.datasets import (
    DatasetDataError,
    DirectoryDataset,
    ImageStoreDataset,
    MemmapDataset,
)
from mlic.images.store import ImageStore

STORE = ImageStore.from_arrays(["a", "b"], np.arange(384, dtype=np.uint8).reshape(2, 8, 8, 3))


def test_image_store_is_written_once_and_memory_mapped(tmp_path):
    dataset = ImageStoreDataset(str(tmp_path / "store"))
    assert not dataset.exists()
    dataset.save(STORE)
    loaded = pickle.loads(pickle.dumps(dataset)).load()
    assert dataset.exists() and isinstance(loaded.pixels, np.memmap)
    assert loaded.fingerprint == STORE.fingerprint
    before = (tmp_path / "store" / "pixels.npy").stat().st_mtime_ns
    dataset.save(loaded)
    assert (tmp_path / "store" / "pixels.npy").stat().st_mtime_ns == before


def test_missing_image_store_is_an_error_of_kedro_too(tmp_path):
    with pytest.raises(DatasetDataError, match=str(tmp_path)):
        ImageStoreDataset(str(tmp_path)).load()


def test_directory_is_made_when_loaded_and_never_saved(tmp_path):
    dataset = DirectoryDataset(str(tmp_path / "a" / "b"))
    assert not dataset.exists()
    assert dataset.load() == tmp_path / "a" / "b" and dataset.exists()
    with pytest.raises(DatasetDataError, match=str(tmp_path)):
        dataset.save(STORE)
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetDataError, match="file"):
        DirectoryDataset(str(tmp_path / "file")).load()


def test_memmap_dataset_copies_an_object_that_lies_on_disk(tmp_path):
    STORE.save(tmp_path / "store")
    stored = ImageStore.open(tmp_path / "store")
    dataset = MemmapDataset(str(tmp_path / "entry"), cls="mlic.images.store.ImageStore")
    for _ in range(2):
        dataset.save(stored)
        assert not (tmp_path / "entry/pixels.npy").samefile(tmp_path / "store/pixels.npy")
    assert dataset.load().fingerprint == STORE.fingerprint


def test_memmap_dataset_refuses_an_object_of_another_class(tmp_path):
    dataset = MemmapDataset(str(tmp_path), cls="mlic.distillation.targets.SoftTargets")
    with pytest.raises(DatasetDataError, match="PixelStore"):
        dataset.save(STORE)
    STORE.save(tmp_path)
    assert not dataset.exists()
