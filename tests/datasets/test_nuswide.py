import io

import numpy as np
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from kedro_datasets.pandas import CSVDataset
from PIL import Image

from mlic.datasets import (
    DatasetDataError,
    DirectoryDataset,
    ImageStoreDataset,
    LabelMatrixDataset,
    NusWideDataset,
)
from mlic.errors import DataError
from mlic.images.options import DataOptions
from mlic.pipelines.data_preparation import create_pipeline

CONCEPTS = ("cat", "clouds", "sky")
TRAIN = {"actor/0001_21.jpg": (1, 0, 0), "sea/0002_22.jpg": (0, 1, 1), "sea/0003_23.jpg": (0, 0, 0)}
TEST = {"actor/0009_29.jpg": (0, 0, 1)}


def jpeg(shade):
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (shade, 0, 0)).save(buffer, "jpeg")
    return buffer.getvalue()


def images(folder, names):
    for shade, name in enumerate(names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(jpeg(shade))


def lists(folder, train=TRAIN, test=TEST, concepts="ConceptsList/Concepts81.txt"):
    """Write NUS-WIDE as published: paths and line ends of Windows, a blank line at the end."""
    truth = folder / "Groundtruth/TrainTestLabels"
    truth.mkdir(parents=True)
    (folder / "ImageList").mkdir()
    (folder / concepts).parent.mkdir(exist_ok=True)
    (folder / concepts).write_bytes("\r\n".join([*CONCEPTS, ""]).encode())
    for part, rows in {"Train": train, "Test": test}.items():
        names = [name.replace("/", "\\") for name in rows]
        (folder / f"ImageList/{part}Imagelist.txt").write_bytes("\r\n".join([*names, ""]).encode())
        for column, concept in enumerate(CONCEPTS):
            states = [str(row[column]) for row in rows.values()]
            file = truth / f"Labels_{concept}_{part}.txt"
            file.write_bytes("\r\n".join([*states, ""]).encode())
    return folder


TABLE = """filepath,label,split_name
images/0001_21.jpg,['cat'],train
images/0002_22.jpg,"['sky', 'clouds']",train
images/0003_23.jpg,[],train
images/0009_29.jpg,['sky'],val
"""


def table(folder, text=TABLE):
    folder.mkdir(exist_ok=True)
    (folder / "nus_wid_data.csv").write_text(text)
    return folder


@pytest.fixture
def listed(tmp_path):
    images(tmp_path / "Flickr", [*TRAIN, *TEST])
    return lists(tmp_path)


@pytest.fixture
def tabled(tmp_path):
    images(tmp_path / "images", [f"000{i}_2{i}.jpg" for i in (1, 2, 3, 9)])
    return table(tmp_path)


def test_lists_give_ids_states_and_splits(listed):
    raw = NusWideDataset(str(listed)).load()
    assert raw.labels.space.names == CONCEPTS
    assert raw.labels.ids.tolist() == [*TRAIN, *TEST]
    assert raw.labels.states.tolist() == [list(row) for row in [*TRAIN.values(), *TEST.values()]]
    assert raw.labels.split.tolist() == ["train"] * 3 + ["test"]
    assert raw.sources[0] == (listed / "Flickr/actor/0001_21.jpg").resolve()


def test_table_gives_the_same_as_lists(tabled):
    dataset = NusWideDataset(str(tabled))
    raw = dataset.load()
    assert dataset.exists()
    assert raw.labels.space.names == CONCEPTS  # sorted, whatever the order of their first use
    assert raw.labels.states.tolist() == [list(row) for row in [*TRAIN.values(), *TEST.values()]]
    assert raw.labels.split.tolist() == ["train"] * 3 + ["test"]
    assert all(path.is_file() for path in raw.sources)


def test_a_concept_list_orders_the_table(tabled):
    (tabled / "Concepts81.txt").write_text("sky\nzebra\ncat\nclouds\n")
    labels = NusWideDataset(str(tabled)).load().labels
    assert labels.space.names == ("sky", "zebra", "cat", "clouds")
    assert labels.states[1].tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize("layout", ["listed", "tabled"])
def test_unlabelled_images_are_kept_or_dropped(layout, request):
    folder = str(request.getfixturevalue(layout))
    kept, dropped = (NusWideDataset(folder, keep_unlabelled=keep).load() for keep in (True, False))
    assert (len(kept), len(dropped)) == (4, 3)
    assert dropped.labels.states.any(axis=1).all()
    assert [path.name for path in dropped.sources] == ["0001_21.jpg", "0002_22.jpg", "0009_29.jpg"]


@pytest.mark.parametrize("place", ["Flickr", "images", "."])
def test_images_are_found_in_the_first_folder_that_contains_one(tmp_path, place):
    (tmp_path / "Flickr").mkdir()  # an empty one is passed over
    images(tmp_path / place, [*TEST])
    raw = NusWideDataset(str(lists(tmp_path, concepts="Concepts81.txt"))).load()
    assert raw.sources[-1] == (tmp_path / place / "actor/0009_29.jpg").resolve()


def test_two_forms_need_a_choice(listed):
    table(listed)
    with pytest.raises(DatasetDataError) as both:
        NusWideDataset(str(listed)).load()
    assert both.value.fields["found"] == ["lists", "table"]
    assert len(NusWideDataset(str(listed), "lists").load()) == 4
    with pytest.raises(DatasetDataError) as neither:
        NusWideDataset(str(listed), "csv")
    assert neither.value.fields == {"parameter": "form", "value": "csv"}


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        (
            "Groundtruth/TrainTestLabels/Labels_sky_Test.txt",
            "1\n0\n",
            ["Labels_sky_Test", "2", "1"],
        ),
        ("Groundtruth/TrainTestLabels/Labels_cat_Test.txt", "-1\n", ["Labels_cat_Test", "'-1'"]),
        ("Groundtruth/TrainTestLabels/Labels_cat_Train.txt", None, ["Labels_cat_Train"]),
        ("ConceptsList/Concepts81.txt", None, ["Concepts81.txt"]),
        ("ImageList/TestImagelist.txt", "..\\..\\x.jpg", ["'../../x.jpg'"]),
        ("ImageList/TestImagelist.txt", "sea\\0002_22.jpg", ["'sea/0002_22.jpg'"]),
        ("ImageList/TrainImagelist.txt", None, ["ImageList/TrainImagelist.txt", "nus_wid"]),
    ],
)
def test_mistakes_in_lists_are_named(listed, file, text, words):
    (listed / file).unlink() if text is None else (listed / file).write_text(text)
    with pytest.raises(DatasetDataError) as caught:
        NusWideDataset(str(listed)).load()
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ("filepath,label,split_name", "path,labels,split", ["path, labels, split"]),
        (",val", ",validation", ["'validation'"]),
        ("['cat']", "__import__('os').getcwd()", ["__import__('os')"]),
        ("['cat']", "[1]", ["[1]"]),
        ("['cat']", "[cat", ["[cat"]),
    ],
)
def test_mistakes_in_the_table_are_named(tabled, was, now, words):
    table(tabled, TABLE.replace(was, now))
    with pytest.raises(DatasetDataError) as caught:
        NusWideDataset(str(tabled)).load()
    assert all(word in str(caught.value) for word in ["nus_wid_data.csv", *words]), caught.value


def test_name_missing_in_the_concept_list_is_refused(tabled):
    (tabled / "Concepts81.txt").write_text("sky\ncat\n")
    with pytest.raises(DatasetDataError, match=r"nus_wid_data.csv and Concepts81.txt.*'clouds'"):
        NusWideDataset(str(tabled)).load()


def test_folder_without_any_image_is_refused(tmp_path):
    with pytest.raises(DatasetDataError) as caught:
        NusWideDataset(str(lists(tmp_path))).load()
    assert caught.value.fields == {"path": tmp_path, "name": "actor/0001_21.jpg"}
    with pytest.raises(DatasetDataError):
        NusWideDataset(str(tmp_path)).save("anything")


def prepare(folder, out, max_unreadable):
    options = DataOptions(
        source="catalog", image_size=8, validation_fraction=0.25, max_unreadable=max_unreadable
    )
    catalog = DataCatalog(
        {
            "raw_images": NusWideDataset(str(folder), keep_unlabelled=False),
            "images_folder": DirectoryDataset(str(out / "images")),
            "images": ImageStoreDataset(str(out / "images")),
            "labels": LabelMatrixDataset(str(out / "labels.parquet")),
            "quarantine": CSVDataset(
                filepath=str(out / "quarantine.csv"), save_args={"index": False}
            ),
            "params:data": MemoryDataset(options),
            "params:seed": MemoryDataset(0),
        }
    )
    SequentialRunner().run(create_pipeline("catalog"), catalog)
    return catalog.load("images"), catalog.load("labels"), catalog.load("quarantine")


def test_data_preparation_puts_missing_images_into_quarantine(tmp_path):
    states = np.eye(3, dtype=int)[np.arange(40) % 3]
    rows = {f"sea/{i:04}_{i}.jpg": tuple(row) for i, row in enumerate(states)}
    names = [*rows]
    folder = lists(
        tmp_path / "raw", {n: rows[n] for n in names[:30]}, {n: rows[n] for n in names[30:]}
    )
    images(folder / "Flickr", names[1:])
    with pytest.raises(DataError, match=r"1 of 40 images are unreadable.*the file is missing"):
        prepare(folder, tmp_path, max_unreadable=0)
    store, labels, quarantine = prepare(folder, tmp_path, max_unreadable=0.05)
    assert quarantine[["id", "reason"]].to_numpy().tolist() == [[names[0], "the file is missing"]]
    assert store.ids.tolist() == labels.ids.tolist() == names[1:]
    assert labels.states.tolist() == states[1:].tolist()
    assert labels.rows("test").tolist() == list(range(29, 39))
    assert 5 <= len(labels.rows("validation")) <= 10
