"""The store: what was made from the same is loaded, all else is made anew and told why."""

import logging
import os

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import save_file

from mlic.caching import store as module
from mlic.caching.store import CheckpointStore
from mlic.errors import CheckpointError

MADE_FROM = {"data": "abc", "training": {"epochs": 3, "rate": 0.1}, "seed": (1, 2), "soft": None}
TENSORS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(7)}


@pytest.fixture
def store(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="mlic")
    return CheckpointStore(tmp_path / "cgp_0", "teachers.cgp_0")


def test_nothing_kept_is_nothing(store, caplog):
    assert store.load("checkpoint", MADE_FROM) is None
    assert not caplog.messages and not store.folder.exists()


def test_the_same_components_are_loaded(store, caplog):
    path = store.save("checkpoint", MADE_FROM, TENSORS, {"info": "x"})
    tensors, metadata = store.load("checkpoint", MADE_FROM)
    assert metadata == {"info": "x"} and set(tensors) == set(TENSORS)
    assert all(np.array_equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert str(path) in caplog.text and "up to date" in caplog.text
    assert store.load("logits", MADE_FROM) is None


def test_weights_come_back_whatever_their_memory_order(store):
    """Channels-last weights are strided; the file format takes buffers as they lie."""
    channels_last = np.arange(120, dtype=np.float32).reshape(2, 4, 5, 3).transpose(0, 3, 1, 2)
    store.save("checkpoint", MADE_FROM, {"w": channels_last, "f": np.asfortranarray(np.eye(3))}, {})
    tensors, _ = store.load("checkpoint", MADE_FROM)
    assert np.array_equal(tensors["w"], channels_last)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"data": "xyz"}, "data was abc, is xyz"),
        ({"training": {"epochs": 4, "rate": 0.1}}, "training.epochs was 3, is 4"),
        ({"seed": (1, 3)}, "seed was [1, 2], is [1, 3]"),
        ({"new": 1}, "new was None, is 1"),
    ],
)
def test_other_components_are_made_anew_and_named(store, caplog, change, told):
    store.save("checkpoint", MADE_FROM, TENSORS, {})
    assert store.load("checkpoint", MADE_FROM | change) is None
    assert f"teachers.cgp_0: checkpoint is made anew: {told}" in caplog.messages


def test_many_changes_are_counted(store, caplog):
    store.save("checkpoint", dict.fromkeys("abcde", 1), TENSORS, {})
    assert store.load("checkpoint", dict.fromkeys("abcde", 2)) is None
    assert "c was 1, is 2 and 2 more" in caplog.text and "d was" not in caplog.text


def damage(path, how):
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    elif how == "noise":
        path.write_bytes(b"no tensors")
    elif how == "empty":
        path.write_bytes(b"")
    else:
        save_file(TENSORS, path, metadata=None if how == "bare" else {"components": "{"})


@pytest.mark.parametrize("how", ["cut", "noise", "empty", "bare", "garbled"])
def test_a_damaged_file_is_made_anew(store, caplog, how):
    damage(store.save("checkpoint", MADE_FROM, TENSORS, {}), how)
    assert store.load("checkpoint", MADE_FROM) is None
    assert "is damaged" in caplog.text and "made anew" in caplog.text
    store.save("checkpoint", MADE_FROM, TENSORS, {})
    assert store.load("checkpoint", MADE_FROM) is not None


def test_a_full_disk_is_told_with_the_file(store, monkeypatch):
    def full(*_, **__):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(CheckpointError, match=r"checkpoint.safetensors cannot be written .*No spa"):
        store.save("checkpoint", MADE_FROM, TENSORS, {})


def test_an_interrupted_write_leaves_the_old_file_and_no_rest(store, monkeypatch):
    store.save("checkpoint", MADE_FROM, TENSORS, {})

    def fail(tensors, path, metadata):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "save_file", fail)
    with pytest.raises(KeyboardInterrupt):
        store.save("checkpoint", {"data": "new"}, TENSORS, {})
    assert os.listdir(store.folder) == ["checkpoint.safetensors"]
    assert store.load("checkpoint", MADE_FROM) is not None
