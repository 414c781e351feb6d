"""Memory-mapped arrays: readable by NumPy, complete or not there at all."""

import errno
import json
import os
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mlic.caching.blocks import digest_tree, read_rows
from mlic.caching.memmap import (
    MemmapObject,
    copy_memmap,
    create_memmap,
    open_memmap,
    shorten_memmap,
)
from mlic.errors import DataError

VALUES = np.arange(24, dtype=np.float16).reshape(4, 3, 2)


def write(path, values=VALUES, **description):
    with create_memmap(path, values.shape, values.dtype, description) as array:
        assert not array.any()
        array[...] = values
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32])
def test_numpy_reads_what_is_written(tmp_path, dtype):
    path = write(tmp_path / "new/a.npy", VALUES.astype(dtype), word="ä", ids=["p", "q"])
    array, description = open_memmap(path)
    assert np.array_equal(np.load(path), VALUES) and np.array_equal(array, VALUES)
    assert array.dtype == dtype and description == {"word": "ä", "ids": ["p", "q"]}
    assert isinstance(array, np.memmap) and not array.flags.writeable
    assert names(path.parent) == ["a.json", "a.npy"]


def test_description_may_be_completed_while_the_array_is_filled(tmp_path):
    description = {}
    with create_memmap(tmp_path / "a.npy", (1,), np.uint8, description):
        description["sum"] = 0
    assert open_memmap(tmp_path / "a.npy")[1] == {"sum": 0}


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="disk space cannot be reserved")
def test_full_disk_is_reported_before_anything_is_filled_in(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError) as error:
        write(tmp_path / "a.npy")
    assert error.value.fields["path"] == tmp_path / "a.npy" and not names(tmp_path)


def test_too_little_free_space_is_reported_with_advice(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10, 9, 1))
    with (
        pytest.raises(DataError, match=r"lower data\.store_size") as error,
        create_memmap(tmp_path / "a.npy", (2,), np.uint8, {}, "lower data.store_size"),
    ):
        pass
    assert error.value.fields["found"] == 1 and not names(tmp_path)


def test_disk_blocks_are_reserved(tmp_path):
    with create_memmap(tmp_path / "a.npy", (10**6,), np.float32, {}):
        (partial,) = tmp_path.iterdir()
        assert partial.stat().st_blocks * 512 >= 4 * 10**6


@pytest.mark.parametrize("num_rows", [1, 3, 4])
def test_shortened_array_equals_one_written_that_short(tmp_path, num_rows):
    with create_memmap(tmp_path / "a.npy", VALUES.shape, VALUES.dtype, {}) as array:
        array[...] = VALUES
        shorten_memmap(array, num_rows)
    short = write(tmp_path / "b.npy", VALUES[:num_rows])
    assert (tmp_path / "a.npy").read_bytes() == short.read_bytes()


def test_interrupted_writer_leaves_the_old_array(tmp_path):
    path = write(tmp_path / "a.npy", version=1)
    with (
        pytest.raises(KeyboardInterrupt),
        create_memmap(path, (2,), np.float32, {"version": 2}) as array,
    ):
        array[0] = 1
        raise KeyboardInterrupt
    array, description = open_memmap(path)
    assert np.array_equal(array, VALUES) and description == {"version": 1}
    assert names(tmp_path) == ["a.json", "a.npy"]


def test_array_that_was_replaced_is_not_valid_under_the_old_description(tmp_path):
    path = write(tmp_path / "a.npy")
    with (
        pytest.raises(TypeError),
        create_memmap(path, (2,), np.float32, {"no JSON": object()}) as array,
    ):
        array[0] = 1
    with pytest.raises(DataError):
        open_memmap(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:20]),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.with_suffix(".json").unlink(),
        lambda path: path.with_suffix(".json").write_text("{"),
        lambda path: path.with_suffix(".json").write_text("[]"),
        lambda path: path.with_suffix(".json").write_text("1"),
        lambda path: path.with_suffix(".json").write_text("[" * 10**5),
    ],
)
def test_damaged_array_is_refused(tmp_path, damage):
    path = write(tmp_path / "a.npy")
    damage(path)
    with pytest.raises(DataError) as error:
        open_memmap(path)
    assert error.value.fields["path"] == path


def read_all(path):
    array, description = open_memmap(path)
    return read_rows(array), description


@pytest.mark.parametrize("file", ["a.npy", "a.json"])
def test_every_flipped_bit_is_noticed(tmp_path, file):
    path = write(tmp_path / "a.npy", word="x")
    content = (tmp_path / file).read_bytes()
    for bit in range(8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        (tmp_path / file).write_bytes(changed)
        try:
            array, description = read_all(path)
        except DataError as error:
            assert error.fields["path"] == path
        else:  # such as a blank in the description
            assert file == "a.json"
            assert np.array_equal(array, VALUES) and description == {"word": "x"}


def test_only_the_rows_that_are_read_are_compared(tmp_path):
    values = np.zeros((2, 4, 2**16), dtype=np.uint8)
    path = write(tmp_path / "a.npy", values)
    content = bytearray(path.read_bytes())
    content[-(2**16)] = 1  # the last row of the last view
    path.write_bytes(content)
    array, _ = open_memmap(path)
    assert not read_rows(array[0]).any()
    with pytest.raises(DataError) as error:
        read_rows(array[1], np.array([3, 0]))
    assert error.value.fields["path"] == path


def test_rows_are_compared_in_any_order_and_form(tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (50, 3, 999), dtype=np.uint8)
    array, _ = open_memmap(write(tmp_path / "a.npy", values))
    for rows in ([4, 4, 49, 0], slice(3, 40, 7), np.array([], dtype=int), None):
        expected = values if rows is None else values[rows]
        assert np.array_equal(read_rows(array, rows), expected)
        assert np.array_equal(read_rows(values, rows), expected)


def test_copy_is_no_link_and_outlives_the_original(tmp_path):
    first, second = write(tmp_path / "a.npy", of=1), tmp_path / "elsewhere/b.npy"
    for _ in range(2):
        copy_memmap(first, second)
        assert not second.samefile(first) and names(second.parent) == ["b.json", "b.npy"]
    copy_memmap(first, tmp_path / "elsewhere/../a.npy")  # to itself: nothing to do
    write(first, VALUES[:2], of=2)
    array, description = open_memmap(second)
    assert np.array_equal(array, VALUES) and description == {"of": 1}


@dataclass(frozen=True)
class Named(MemmapObject):
    kind = "values"
    name: str
    values: np.ndarray
    folder: Path | None = None

    @property
    def array(self):
        return self.values

    def describe(self):
        return {"name": self.name}

    @classmethod
    def from_array(cls, array, description, folder=None):
        return cls(description["name"], array, folder)


def test_object_comes_back_and_is_copied_to_a_second_folder(tmp_path):
    Named("x", VALUES).save(tmp_path / "first")
    opened = Named.open(tmp_path / "first")
    assert opened.name == "x" and np.array_equal(opened.array, VALUES)
    opened.save(tmp_path / "second")
    assert not (tmp_path / "second/values.npy").samefile(tmp_path / "first/values.npy")
    assert Named.open(tmp_path / "second").name == "x"


def test_object_with_an_incomplete_description_is_refused(tmp_path):
    Named("x", VALUES).save(tmp_path)
    content = json.loads((tmp_path / "values.json").read_text())
    content["description"] = {"title": "x"}
    content["digest"] = digest_tree({key: content[key] for key in ("description", "array")})
    (tmp_path / "values.json").write_text(json.dumps(content))
    with pytest.raises(DataError) as error:
        Named.open(tmp_path)
    assert error.value.fields["path"] == tmp_path / "values.npy"
