"""Atomic writes: complete or not at all, with one clear error."""

import errno
import subprocess
import sys
from collections import namedtuple

import pytest

from mlic.caching.atomic import _delete_leftovers, _mark, atomic_write, require_free_space
from mlic.errors import DataError


def test_atomic_write_makes_folders_and_replaces_the_file(tmp_path):
    path = tmp_path / "a/b/c.txt"
    for text in ("one", "two"):
        with atomic_write(path) as partial:
            partial.write_text(text)
            assert partial.parent == path.parent and partial != path
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_atomic_write_leaves_the_old_file_on_any_error(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as partial:
        partial.write_text("half of the n")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_atomic_write_names_the_file_that_does_not_fit_on_the_disk(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(DataError) as error, atomic_write(path) as partial:
        partial.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert error.value.fields["path"] == path and str(path) in str(error.value)
    assert not list(tmp_path.iterdir())


def test_atomic_write_names_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError) as error, atomic_write(tmp_path / "file/a.txt"):
        pass
    assert error.value.fields["path"] == tmp_path / "file/a.txt"


def test_atomic_write_passes_errors_about_other_files_on(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a.txt"):
        (tmp_path / "source").read_text()


KILLED = """
import os, signal, sys
from pathlib import Path
from mlic.caching.atomic import atomic_write
with atomic_write(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_left_is_deleted_by_the_next(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a.txt")], check=False)
    (left,) = tmp_path.iterdir()
    others = [
        tmp_path / f"b{_mark()}1-7.partial",  # a process that lives
        tmp_path / left.name.replace(_mark(), ".elsewhere-"),
        tmp_path / "mine.partial",
    ]
    for other in others:
        other.touch()
    _delete_leftovers.cache_clear()
    with atomic_write(tmp_path / "c.txt") as partial:
        partial.write_text("whole")
    assert set(tmp_path.iterdir()) == {*others, tmp_path / "c.txt"}


def test_free_space_is_checked_before_writing(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10, 9, 1))
    require_free_space(tmp_path / "new", 1, "a cache")
    with pytest.raises(DataError) as error:
        require_free_space(tmp_path / "new", 2, "a cache", "lower data.store_size")
    assert error.value.fields == {"path": tmp_path / "new", "expected": 2, "found": 1}
    assert "lower data.store_size" in str(error.value)
