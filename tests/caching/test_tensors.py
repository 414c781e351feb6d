"""Safetensors files: written completely, in any memory order, with one clear error."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from mlic.caching.tensors import load_tensors, save_tensors
from mlic.errors import DataError

TENSORS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(7)}


def test_tensors_and_metadata_come_back(tmp_path):
    path = tmp_path / "new/a.safetensors"
    save_tensors(path, TENSORS, {"info": "ä"})
    tensors, metadata = load_tensors(path)
    assert metadata == {"info": "ä"} and set(tensors) == set(TENSORS)
    assert all(np.array_equal(tensors[name], TENSORS[name]) for name in TENSORS)
    save_tensors(path, {}, {})
    assert load_tensors(path) == ({}, {}) and list(path.parent.iterdir()) == [path]


def test_tensors_come_back_whatever_their_memory_order(tmp_path):
    """Channels-last weights are strided; the file format takes buffers as they lie."""
    channels_last = np.arange(120, dtype=np.float32).reshape(2, 4, 5, 3).transpose(0, 3, 1, 2)
    tensors = {"w": channels_last, "f": np.asfortranarray(np.eye(3)), "r": np.arange(9)[::-2]}
    save_tensors(tmp_path / "a.safetensors", tensors, {})
    loaded, _ = load_tensors(tmp_path / "a.safetensors")
    assert all(np.array_equal(loaded[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("content", [None, b"", b"no tensors", b"\xff" * 100])
def test_missing_or_damaged_file_is_refused(tmp_path, content):
    path = tmp_path / "a.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as error:
        load_tensors(path)
    assert error.value.fields["path"] == path


def test_every_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, TENSORS, {"info": "ä"})
    content = path.read_bytes()
    for bit in range(8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            tensors, metadata = load_tensors(path)
        except DataError as error:
            assert error.fields["path"] == path
        else:  # such as a blank in the header
            assert metadata == {"info": "ä"} and set(tensors) == set(TENSORS)
            assert all(np.array_equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_file_of_another_program_is_refused(tmp_path):
    save_file(TENSORS, tmp_path / "a.safetensors")
    with pytest.raises(DataError, match="damaged"):
        load_tensors(tmp_path / "a.safetensors")


def test_file_that_cannot_be_written_is_named(tmp_path):
    path = tmp_path / "a.safetensors"
    path.mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(DataError) as error:
        save_tensors(path, TENSORS, {})
    assert error.value.fields["path"] == path and list(tmp_path.iterdir()) == [path]
