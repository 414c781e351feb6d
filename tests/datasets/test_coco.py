import json
from pathlib import Path

import pytest

from mlic.datasets import CocoDataset, DatasetDataError

SHARED = Path(__file__).resolve().parents[2] / "../shared/data/coco128"
CATEGORIES = [{"id": 9, "name": "dog"}, {"id": 2, "name": "cat"}, {"id": 5, "name": "emu"}]


def part(folder, name, ids, pairs, categories=CATEGORIES, **changes):
    content = {
        "images": [{"id": i, "file_name": f"{i:04}.jpg"} for i in ids],
        "annotations": [
            {"image_id": image, "category_id": category, "iscrowd": crowd}
            for image, category, crowd in pairs
        ],
        "categories": categories,
    } | changes
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / f"{name}2014").mkdir(exist_ok=True)
    for i in ids:
        (folder / f"{name}2014" / f"{i:04}.jpg").write_bytes(b"encoded")
    (folder / f"annotations/instances_{name}2014.json").write_text(json.dumps(content))


@pytest.fixture
def coco(tmp_path):
    part(tmp_path, "train", [4, 1], [(4, 9, 0), (4, 9, 0), (4, 2, 1)])
    part(tmp_path, "val", [4], [(4, 2, 0)])
    return tmp_path


def test_label_states_order_splits_and_ids(coco):
    raw = CocoDataset(str(coco)).load()
    assert raw.labels.space.names == ("cat", "emu", "dog")  # in id order, emu without an image
    assert raw.labels.ids.tolist() == ["train/4", "train/1", "val/4"]
    assert raw.labels.states.tolist() == [[1, 0, 1], [0, 0, 0], [1, 0, 0]]  # a crowd counts
    assert raw.labels.split.tolist() == ["train", "train", "test"]
    assert [path.parent.name for path in raw.sources] == ["train2014", "train2014", "val2014"]


def test_annotations_of_training_images_suffice(coco):
    (coco / "annotations/instances_val2014.json").unlink()
    assert CocoDataset(str(coco), 2014).load().labels.split.tolist() == ["train", "train"]


@pytest.mark.parametrize(
    ("changes", "words", "fields"),
    [
        (
            {"images": [{"id": 1, "file_name": "../x.jpg"}], "annotations": []},
            [],
            {"name": "../x.jpg"},
        ),
        (
            {"images": [{"id": 1, "file_name": "no.jpg"}], "annotations": []},
            ["no.jpg"],
            {"found": 1},
        ),
        (
            {"annotations": [{"id": 5, "image_id": 77, "category_id": 9}]},
            ["instances_val2014", "image id 77"],
            {"name": 5, "value": 77},
        ),
        (
            {"annotations": [{"id": 6, "image_id": 4, "category_id": 55}]},
            ["instances_val2014", "category id 55"],
            {"name": 6, "value": 55},
        ),
        ({"categories": CATEGORIES[:2]}, ["instances_val2014"], {}),
        ({"categories": [{"id": 2, "name": "cow"}, *CATEGORIES[::2]]}, ["'cat'", "'cow'"], {}),
    ],
)
def test_mistakes_are_named(coco, changes, words, fields):
    part(coco, "val", [4], [(4, 2, 0)], **changes)
    with pytest.raises(DatasetDataError) as caught:
        CocoDataset(str(coco)).load()
    assert all(word in str(caught.value) for word in words), caught.value
    assert caught.value.fields.items() >= fields.items()
    assert "delete" not in str(caught.value)  # the files are the user's


def test_year_is_needed_if_there_are_several(coco):
    (coco / "annotations/instances_train2017.json").write_text("{}")
    with pytest.raises(DatasetDataError) as several:
        CocoDataset(str(coco)).load()
    assert several.value.fields["found"] == ["2014", "2017"]
    assert len(CocoDataset(str(coco), "2014").load()) == 3
    with pytest.raises(DatasetDataError, match=r"instances_train2017.json"):
        CocoDataset(str(coco), 2017).load()
    with pytest.raises(DatasetDataError, match=r"instances_train2099.json"):
        CocoDataset(str(coco), 2099).load()
    with pytest.raises(DatasetDataError) as none:
        CocoDataset(str(coco / "train2014")).load()
    assert none.value.fields["found"] == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared COCO sample is absent")
def test_the_sample():
    dataset = CocoDataset(str(SHARED))
    labels = dataset.load().labels
    assert dataset.exists()
    assert (len(labels), len(labels.space)) == (28, 80)
    assert labels.space.names[0] == "person" and labels.space.names[-1] == "toothbrush"
    annotations = json.loads((SHARED / "annotations/instances_val2017.json").read_text())
    pairs = {(a["image_id"], a["category_id"]) for a in annotations["annotations"]}
    assert int(labels.in_split("test").states.sum()) == len(pairs)
