from pathlib import Path

import pytest

from mlic.datasets import DatasetDataError, VocDataset
from mlic.datasets.voc import CLASSES

SHARED = Path(__file__).resolve().parents[2] / "../shared/data/voc"


def kit(folder, **sets):
    """Write a development kit in which image i shows class i, and person is always difficult."""
    root = folder / "VOCdevkit" / "VOC2007"
    (root / "JPEGImages").mkdir(parents=True)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for name, ids in sets.items():
        for i, label in enumerate(CLASSES):
            states = [0 if label == "person" else 1 if int(x) == i else -1 for x in ids]
            lines = [f"{x} {state:2d}" for x, state in zip(ids, states, strict=True)]
            (root / f"ImageSets/Main/{label}_{name}.txt").write_text("\n".join(lines) + "\n")
        for x in ids:
            (root / f"JPEGImages/{x}.jpg").write_bytes(b"encoded")
    return root


def splits(folder, training_set="train"):
    raw = VocDataset(str(folder), 2007, training_set).load()
    return dict(zip(raw.labels.ids.tolist(), raw.labels.split.tolist(), strict=True))


def test_states_follow_vocs_coding_and_class_train_is_not_a_set(tmp_path):
    kit(tmp_path, train=["18", "0"], val=["1"], test=["2"])
    labels = VocDataset(str(tmp_path), 2007).load().labels
    assert labels.space.names == CLASSES
    train, person = labels.space.index("train"), labels.space.index("person")
    assert labels.states[:, train].tolist() == [1, 0, 0, 0]
    assert labels.states[:, person].tolist() == [-1] * 4
    assert labels.states[1].tolist() == [1] + [0] * 13 + [-1] + [0] * 5


def test_splits_follow_the_lists_for_every_way_to_give_the_folder(tmp_path):
    kit(tmp_path, train=["0"], val=["1"], trainval=["0", "1"], test=["2"])
    expected = {"0": "train", "1": "validation", "2": "test"}
    assert splits(tmp_path) == splits(tmp_path / "VOCdevkit") == expected
    assert splits(tmp_path / "VOCdevkit" / "VOC2007") == expected


def test_trainval_declares_no_validation_images(tmp_path):
    kit(tmp_path, train=["0"], val=["1"], trainval=["0", "1"], test=["2"])
    assert splits(tmp_path, "trainval") == {"0": "train", "1": "train", "2": "test"}


def test_missing_test_lists_give_a_warning(tmp_path, caplog):
    kit(tmp_path, train=["0"], val=["1"])
    assert splits(tmp_path) == {"0": "train", "1": "validation"}
    assert "no lists of its test set" in caplog.text


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda root: (root / "JPEGImages/1.jpg").unlink(), ["1 of 3", "1.jpg"]),
        (lambda root: (root / "ImageSets/Main/cat_test.txt").unlink(), ["1 of 20", "cat_test.txt"]),
        (lambda root: (root / "ImageSets/Main/cat_val.txt").write_text("9 1\n"), ["cat_val.txt"]),
        (lambda root: (root / "ImageSets/Main/cat_val.txt").write_text("1 2\n"), ["'1 2'"]),
        (lambda root: (root / "ImageSets/Main/cat_val.txt").write_text("../1 1\n"), ["'../1 1'"]),
    ],
)
def test_mistakes_are_named(tmp_path, spoil, words):
    spoil(kit(tmp_path, train=["0"], val=["1"], test=["2"]))
    with pytest.raises(DatasetDataError) as caught:
        VocDataset(str(tmp_path), 2007).load()
    assert all(word in str(caught.value) for word in words), caught.value


def test_missing_year_or_set_is_refused(tmp_path):
    kit(tmp_path, train=["0"])
    dataset = VocDataset(str(tmp_path), 2012)
    assert not dataset.exists() and VocDataset(str(tmp_path), "2007").exists()
    with pytest.raises(DatasetDataError, match="VOC2012") as caught:
        dataset.load()
    assert caught.value.fields["path"].name == "VOC2012"
    with pytest.raises(DatasetDataError, match=r"aeroplane_trainval\.txt") as caught:
        VocDataset(str(tmp_path), 2007, "trainval").load()
    assert caught.value.fields["value"] == "trainval"
    with pytest.raises(DatasetDataError):
        dataset.save("anything")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared VOC sample is absent")
@pytest.mark.parametrize(("year", "sizes"), [(2007, (2, 0, 4)), (2012, (4, 0, 0))])
def test_the_sample(year, sizes):
    labels = VocDataset(str(SHARED), year, "trainval").load().labels
    assert tuple(len(labels.rows(split)) for split in ("train", "validation", "test")) == sizes
    assert (labels.states == 1).any(axis=1).all()
