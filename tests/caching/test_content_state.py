"""States of files: what changes them, and when content is read."""

import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from mlic.caching import content_state as module
from mlic.caching.content_state import ContentState, Signature, scan_files


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data/inner").mkdir(parents=True)
    (tmp_path / "data/b.txt").write_text("b")
    (tmp_path / "data/inner/a.txt").write_text("a")
    return tmp_path / "data"


def state_of(folder, description="csv"):
    return ContentState(description, scan_files(folder))


def touch(path, later=10**9):
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + later))


def test_scan_of_a_folder_lists_all_its_files_in_order(folder):
    names = [os.path.relpath(path, folder) for path, _, _ in scan_files(folder)]
    assert names == ["b.txt", "inner/a.txt"]
    assert scan_files(folder / "b.txt")[0][1] == 1
    assert scan_files(folder / "nowhere") is None


def test_scan_stops_at_cyclic_and_broken_links(folder):
    (folder / "again").symlink_to(folder)
    (folder / "gone").symlink_to(folder / "nowhere")
    paths = [os.path.basename(path) for path, _, _ in scan_files(folder)]
    assert paths == ["b.txt", "gone", "a.txt"]
    assert state_of(folder).sign().content


@pytest.mark.parametrize("change", ["content", "size", "name", "more", "description"])
def test_changes_do_not_match(folder, change):
    recorded = state_of(folder).sign()
    path = folder / "b.txt"
    if change in ("content", "size"):
        path.write_text("c" if change == "content" else "bb")
        touch(path)
    elif change == "name":
        path.rename(folder / "c.txt")
    elif change == "more":
        (folder / "new.txt").touch()
    assert not state_of(folder, "json" if change == "description" else "csv").matches(recorded)


def test_file_written_again_with_the_same_content_matches(folder, monkeypatch):
    recorded = state_of(folder).sign()
    monkeypatch.setattr(module, "_content", lambda _: pytest.fail("read without need"))
    assert state_of(folder).matches(recorded)
    monkeypatch.undo()
    touch(folder / "b.txt")
    assert state_of(folder).state != recorded.state
    assert state_of(folder).matches(recorded)


def test_safetensors_match_whatever_the_order_of_their_metadata(tmp_path):
    path = tmp_path / "a.safetensors"
    metadata = {str(key): "value" for key in range(9)}  # written in random order

    def write(number):
        save_file({"x": np.full(3, number, np.float32)}, path, metadata=metadata)
        touch(path)
        return state_of(path).sign().content

    assert write(1) == write(1) != write(2)
    metadata["1"] = "another"
    assert write(1) != write(2)
    whole = write(1)
    path.write_bytes(path.read_bytes()[:20])
    assert state_of(path).sign().content != whole


def test_files_too_large_to_read_are_compared_by_state(folder, monkeypatch):
    monkeypatch.setattr(module, "MAX_CONTENT_BYTES", 1)
    recorded = state_of(folder, "large").sign()
    assert recorded.content is None and state_of(folder, "large").matches(recorded)
    touch(folder / "b.txt")
    assert not state_of(folder, "large").matches(recorded)


def test_missing_files_match_nothing(folder):
    missing = ContentState("csv", None)
    assert missing.sign() == Signature(None, None)
    assert not missing.matches(missing.sign())
    assert not state_of(folder).matches(missing.sign())
