"""Signatures: what changes them, and when files are read."""

import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from mlic.caching import content_state as signature
from mlic.caching.content_state import ContentState, Signature, look_at


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data/inner").mkdir(parents=True)
    (tmp_path / "data/b.txt").write_text("b")
    (tmp_path / "data/inner/a.txt").write_text("a")
    return tmp_path / "data"


def matter(folder, about="csv"):
    return ContentState(about, look_at(folder))


def touch(path, later=10**9):
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + later))


def test_a_folder_is_all_its_files_in_order(folder):
    names = [os.path.relpath(path, folder) for path, _, _ in look_at(folder)]
    assert names == ["b.txt", "inner/a.txt"]
    assert look_at(folder / "b.txt")[0][1] == 1
    assert look_at(folder / "nowhere") is None


def test_links_in_circles_and_to_nowhere_end(folder):
    (folder / "again").symlink_to(folder)
    (folder / "gone").symlink_to(folder / "nowhere")
    paths = [os.path.basename(path) for path, _, _ in look_at(folder)]
    assert paths == ["b.txt", "gone", "a.txt"]
    assert matter(folder).sign().content


@pytest.mark.parametrize("change", ["content", "size", "name", "more", "about"])
def test_changes_are_seen(folder, change):
    kept = matter(folder).sign()
    path = folder / "b.txt"
    if change in ("content", "size"):
        path.write_text("c" if change == "content" else "bb")
        touch(path)
    elif change == "name":
        path.rename(folder / "c.txt")
    elif change == "more":
        (folder / "new.txt").touch()
    assert not matter(folder, "json" if change == "about" else "csv").is_what(kept)


def test_what_is_written_anew_and_equal_is_the_same(folder, monkeypatch):
    kept = matter(folder).sign()
    monkeypatch.setattr(signature, "_read", lambda path: pytest.fail("read without need"))
    assert matter(folder).is_what(kept)
    monkeypatch.undo()
    touch(folder / "b.txt")
    assert matter(folder).state != kept.state
    assert matter(folder).is_what(kept)


def test_safetensors_written_anew_are_the_same(tmp_path):
    path = tmp_path / "a.safetensors"
    metadata = {str(key): "value" for key in range(9)}  # written in an order left to chance

    def write(number):
        save_file({"x": np.full(3, number, np.float32)}, path, metadata=metadata)
        touch(path)
        return matter(path).sign().content

    assert write(1) == write(1) != write(2)
    metadata["1"] = "another"
    assert write(1) != write(2)
    whole = write(1)
    path.write_bytes(path.read_bytes()[:20])
    assert matter(path).sign().content != whole


def test_what_is_too_large_to_read_is_judged_by_its_state(folder, monkeypatch):
    monkeypatch.setattr(signature, "_LARGEST", 1)
    kept = matter(folder, "large").sign()
    assert kept.content is None and matter(folder, "large").is_what(kept)
    touch(folder / "b.txt")
    assert not matter(folder, "large").is_what(kept)


def test_missing_files_are_like_nothing(folder):
    missing = ContentState("csv", None)
    assert missing.sign() == Signature(None, None)
    assert not missing.is_what(missing.sign())
    assert not matter(folder).is_what(missing.sign())
