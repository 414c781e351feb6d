"""The store: what was made from the same is loaded; anything else is made again, with a reason."""

import logging
import threading
import time

import numpy as np
import pytest
from safetensors.numpy import save_file

from mlic.caching.memmap import open_memmap
from mlic.caching.store import ArtifactStore

MADE_FROM = {"data": "abc", "training": {"epochs": 3, "rate": 0.1}, "seed": (1, 2), "soft": None}
TENSORS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(7)}


@pytest.fixture
def store(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="mlic")
    return ArtifactStore(tmp_path / "cgp_0", "teachers.cgp_0")


def save(store, components=MADE_FROM):
    return store.save("checkpoint", components, TENSORS, {"info": "x"})


def fill(store, components=MADE_FROM, value=1):
    with store.fill("logits", components, (2, 3), np.float16, {"teacher": "t"}) as array:
        array[...] = value
    return store.array_path("logits")


WRITERS = [(save, "checkpoint"), (fill, "logits")]


@pytest.mark.parametrize("kind", ["checkpoint", "logits"])
def test_store_without_artifacts_finds_nothing(store, caplog, kind):
    assert store.find(kind, MADE_FROM) is None and store.load(kind, MADE_FROM) is None
    assert not caplog.messages and not store.folder.exists()


@pytest.mark.parametrize(("write", "kind"), WRITERS)
def test_artifact_of_the_same_components_is_found(store, caplog, write, kind):
    path = write(store)
    assert store.find(kind, MADE_FROM) == path
    assert "up to date" in caplog.text and str(path) in caplog.text
    assert store.find("other", MADE_FROM) is None


def test_small_artifact_is_loaded_without_its_components(store):
    path = save(store)
    tensors, metadata = store.load("checkpoint", MADE_FROM)
    assert metadata == {"info": "x"} and set(tensors) == set(TENSORS)
    assert all(np.array_equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert path == store.path("checkpoint")


def test_large_artifact_is_described_with_its_components(store):
    array, description = open_memmap(fill(store, value=3))
    assert array.tolist() == [[3] * 3] * 2 and array.dtype == np.float16
    assert description["teacher"] == "t" and description["components"]["seed"] == [1, 2]


@pytest.mark.parametrize(("write", "kind"), WRITERS)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": "xyz"}, "data was abc, is xyz"),
        ({"training": {"epochs": 4, "rate": 0.1}}, "training.epochs was 3, is 4"),
        ({"seed": (1, 3)}, "seed was [1, 2], is [1, 3]"),
        ({"new": 1}, "new was None, is 1"),
    ],
)
def test_other_components_are_named(store, caplog, write, kind, change, reason):
    write(store)
    assert store.find(kind, MADE_FROM | change) is None
    assert reason in caplog.text
    write(store, MADE_FROM | change)
    assert store.find(kind, MADE_FROM | change)


def test_only_the_first_three_changes_are_named(store, caplog):
    save(store, dict.fromkeys("abcde", 1))
    assert store.load("checkpoint", dict.fromkeys("abcde", 2)) is None
    assert "c was 1, is 2 and 2 more" in caplog.text and "d was" not in caplog.text


def damage(path, how):
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    elif how == "noise":
        path.write_bytes(b"no tensors")
    elif how == "empty":
        path.write_bytes(b"")
    elif path.suffix == ".npy":
        path.with_suffix(".json").write_text("{}" if how == "bare" else "{")
    else:
        save_file(TENSORS, path, metadata=None if how == "bare" else {"components": "{"})


@pytest.mark.parametrize(("write", "kind"), WRITERS)
@pytest.mark.parametrize("how", ["cut", "noise", "empty", "bare", "garbled"])
def test_damaged_artifact_is_made_again(store, caplog, write, kind, how):
    damage(write(store), how)
    assert store.find(kind, MADE_FROM) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    write(store)
    assert store.find(kind, MADE_FROM) is not None


@pytest.mark.parametrize("start", [pytest.param(True, id="before"), pytest.param(False, id="none")])
def test_interrupted_artifact_leaves_what_was_there_before(store, start):
    if start:
        fill(store)
    with (
        pytest.raises(KeyboardInterrupt),
        store.fill("logits", {"data": "new"}, (2, 3), np.float16, {}) as array,
    ):
        array[...] = 2
        raise KeyboardInterrupt
    assert (store.find("logits", MADE_FROM) is not None) is start
    assert store.find("logits", {"data": "new"}) is None
    assert len(list(store.folder.iterdir())) == 2 * start


def test_lock_lets_one_at_a_time_in(store, caplog):
    inside, most = [], []

    def work():
        with store.lock():
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.05)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1] and "waiting for another process" in caplog.text
