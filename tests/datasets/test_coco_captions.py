"""Words of captions as labels."""

import json

import pytest
from PIL import Image

from mlic.datasets import CocoCaptionsDataset, DatasetDataError

CAPTIONS = {
    "train": {
        1: ["A dog runs on the grass.", "Two dogs!"],
        2: ["The DOG and a cat"],
        3: ["a cat, a cat, a cat"],
    },
    "val": {7: ["Dogs near a boat"]},
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "annotations").mkdir()
    for part, images in CAPTIONS.items():
        (tmp_path / f"{part}2014").mkdir()
        content = {"images": [], "annotations": []}
        for number, captions in images.items():
            name = f"{number}.jpg"
            Image.new("RGB", (8, 8)).save(tmp_path / f"{part}2014" / name)
            content["images"].append({"id": number, "file_name": name})
            content["annotations"] += [{"image_id": number, "caption": c} for c in captions]
        file = tmp_path / f"annotations/captions_{part}2014.json"
        file.write_text(json.dumps(content))
    return tmp_path


def test_labels_are_the_most_frequent_words_by_images(folder):
    labels = CocoCaptionsDataset(str(folder), num_labels=4).load().labels
    # dog and dogs are one word in two images, cat is in two; of equals the alphabet decides
    assert labels.space.names == ("cat", "dog", "grass", "runs")
    assert labels.ids.tolist() == ["train/1", "train/2", "train/3", "val/7"]
    assert labels.states.tolist() == [[0, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]
    assert labels.split.tolist() == ["train", "train", "train", "test"]


def test_words_of_the_test_captions_do_not_decide_the_vocabulary(folder):
    with pytest.raises(DatasetDataError) as caught:
        CocoCaptionsDataset(str(folder), num_labels=5).load()
    assert caught.value.fields["found"] == 4


def test_caption_of_an_unknown_image_is_one_error(folder):
    file = folder / "annotations/captions_val2014.json"
    content = json.loads(file.read_text())
    content["annotations"].append({"image_id": 99, "caption": "a ghost"})
    file.write_text(json.dumps(content))
    with pytest.raises(DatasetDataError) as caught:
        CocoCaptionsDataset(str(folder), num_labels=4).load()
    assert caught.value.fields["name"] == "99"


def test_missing_images_are_one_error(folder):
    (folder / "val2014/7.jpg").unlink()
    with pytest.raises(DatasetDataError):
        CocoCaptionsDataset(str(folder), num_labels=4).load()
