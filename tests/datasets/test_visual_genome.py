"""Visual Genome's categories in the layout of SSGRL."""

import json

import pytest
from PIL import Image

from mlic.datasets import DatasetDataError, VisualGenomeDataset


@pytest.fixture
def folder(tmp_path):
    for place, name in (("VG_100K", "1.jpg"), ("VG_100K_2", "2.jpg"), ("VG_100K", "3.jpg")):
        (tmp_path / place).mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / place / name)
    (tmp_path / "train_list_4.txt").write_text("1.jpg\n2.jpg\n")
    (tmp_path / "test_list_4.txt").write_text("3.jpg\n")
    index = {"1.jpg": [0, 3], "2.jpg": [1], "3.jpg": [], "unlisted.jpg": [2]}
    (tmp_path / "vg_category_4_labels_index.json").write_text(json.dumps(index))
    return tmp_path


def test_labels_and_split_are_those_of_the_files(folder):
    records = VisualGenomeDataset(str(folder), num_labels=4).load()
    assert records.labels.states.tolist() == [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert records.labels.split.tolist() == ["train", "train", "test"]
    assert records.labels.space.names[1] == "category 1"
    assert [path.parent.name for path in records.sources] == ["VG_100K", "VG_100K_2", "VG_100K"]


def test_names_of_the_categories_can_be_given(folder):
    (folder / "names.txt").write_text("tree\nsky\nman\ndog\n")
    given = VisualGenomeDataset(str(folder), 4, names=str(folder / "names.txt"))
    assert given.load().labels.space.names == ("tree", "sky", "man", "dog")
    (folder / "names.txt").write_text("tree\n")
    with pytest.raises(DatasetDataError) as caught:
        given.load()
    assert caught.value.fields["found"] == 1


@pytest.mark.parametrize("index", [{"1.jpg": [0], "2.jpg": [4], "3.jpg": []}, {"1.jpg": [0]}])
def test_index_that_does_not_fit_the_lists_is_one_error(folder, index):
    (folder / "vg_category_4_labels_index.json").write_text(json.dumps(index))
    with pytest.raises(DatasetDataError) as caught:
        VisualGenomeDataset(str(folder), 4).load()
    assert caught.value.fields["name"] == "2.jpg"


def test_missing_files_are_one_error(folder):
    (folder / "VG_100K_2/2.jpg").unlink()
    with pytest.raises(DatasetDataError):
        VisualGenomeDataset(str(folder), 4).load()
    (folder / "test_list_4.txt").unlink()
    with pytest.raises(DatasetDataError) as caught:
        VisualGenomeDataset(str(folder), 4).load()
    assert caught.value.fields["path"] == folder / "test_list_4.txt"
