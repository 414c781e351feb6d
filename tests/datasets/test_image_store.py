import pickle

import numpy as np
import pytest

from mlic.datasets import DatasetDataError, DirectoryDataset, ImageStoreDataset
from mlic.images.store import ImageStore

STORE = ImageStore.from_arrays(["a", "b"], np.arange(384, dtype=np.uint8).reshape(2, 8, 8, 3))


def test_a_store_is_written_once_and_mapped(tmp_path):
    dataset = ImageStoreDataset(str(tmp_path / "store"))
    assert not dataset.exists()
    dataset.save(STORE)
    loaded = pickle.loads(pickle.dumps(dataset)).load()
    assert dataset.exists() and isinstance(loaded.pixels, np.memmap)
    assert loaded.fingerprint == STORE.fingerprint
    before = (tmp_path / "store" / "pixels.npy").stat().st_mtime_ns
    dataset.save(loaded)
    assert (tmp_path / "store" / "pixels.npy").stat().st_mtime_ns == before


def test_a_damaged_store_is_kedros_error_too(tmp_path):
    with pytest.raises(DatasetDataError, match="no whole image store"):
        ImageStoreDataset(str(tmp_path)).load()


def test_a_folder_is_a_handle(tmp_path):
    dataset = DirectoryDataset(str(tmp_path / "a" / "b"))
    assert not dataset.exists()
    assert dataset.load() == tmp_path / "a" / "b" and dataset.exists()
    with pytest.raises(DatasetDataError, match="folder handle"):
        dataset.save(STORE)
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetDataError, match="file"):
        DirectoryDataset(str(tmp_path / "file")).load()
