"""Memory-mapped files: what the library reads, written whole or not at all."""

import errno
import os

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mlic.caching.memmap import create_mapped, open_mapped, place_file
from mlic.errors import CheckpointError

ARRAYS = {
    "a": np.arange(12, dtype=np.float32).reshape(3, 4),
    "b": np.linspace(-1, 1, 5).astype(np.float16),
}


def write(path):
    with create_mapped(path, ARRAYS, {"word": "ä"}) as arrays:
        for name, values in ARRAYS.items():
            assert not arrays[name].any()
            arrays[name][...] = values
    return path


def same(found):
    return all(np.array_equal(found[n], v) and found[n].dtype == v.dtype for n, v in ARRAYS.items())


def test_the_library_reads_what_is_written_and_the_other_way(tmp_path):
    assert same(load_file(write(tmp_path / "ours.safetensors")))
    save_file(ARRAYS, tmp_path / "theirs.safetensors", metadata={"word": "ä"})
    for name in ("ours", "theirs"):
        arrays, metadata = open_mapped(tmp_path / f"{name}.safetensors")
        assert same(arrays) and metadata == {"word": "ä"}


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="disk space cannot be reserved")
def test_a_full_disk_is_told_before_anything_is_filled_in(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(CheckpointError, match=r"a.safetensors cannot be written .*No space left"):
        write(tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_the_space_of_a_mapped_file_is_reserved(tmp_path):
    """A sparse file would end the program by SIGBUS where the disk fills up."""
    with create_mapped(tmp_path / "a.safetensors", {"x": np.empty(10**6, np.float32)}, {}):
        (partial,) = tmp_path.iterdir()
        assert partial.stat().st_blocks * 512 >= 4 * 10**6


def test_arrays_are_mapped_and_read_only(tmp_path):
    arrays, _ = open_mapped(write(tmp_path / "a.safetensors"))
    assert isinstance(arrays["a"], np.memmap) and not arrays["a"].flags.writeable


def test_an_unfinished_file_takes_no_name(tmp_path):
    path = write(tmp_path / "a.safetensors")
    with (
        pytest.raises(KeyboardInterrupt),
        create_mapped(path, {"a": np.empty(2, np.float32)}, {}) as arrays,
    ):
        arrays["a"][0] = 1
        raise KeyboardInterrupt
    assert same(open_mapped(path)[0]) and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kept", [0, 4, 20, -1])
def test_damage_is_told(tmp_path, kept):
    path = write(tmp_path / "a.safetensors")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match="damaged"):
        open_mapped(path)


def test_a_second_name_costs_nothing_and_outlives_the_first(tmp_path):
    first, second = write(tmp_path / "a.safetensors"), tmp_path / "b.safetensors"
    place_file(first, second)
    assert second.stat().st_ino == first.stat().st_ino
    with create_mapped(first, {"a": np.empty(2, np.float32)}, {}):
        pass
    assert same(open_mapped(second)[0])
