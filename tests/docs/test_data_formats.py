"""The examples of docs/data_formats.md work, and its error messages are the real ones."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from kedro.io import AbstractDataset, DatasetError

from mlic.datasets import CocoDataset, ManifestDataset, NusWideDataset, VocDataset
from mlic.images.options import DataOptions

PAGE = (Path(__file__).resolve().parents[2] / "docs/data_formats.md").read_text(encoding="utf-8")
IMAGES = ("kitchen/001.jpg", "kitchen/002.jpg", "street/017.jpg")
STATES = [[1, 1, 0], [-1, 0, 1], [0, 0, 0]]


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def manifest(tmp_path):
    """Return a function that writes a manifest next to the images of the page (no real images)."""
    for name in IMAGES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")

    def write(text):
        (tmp_path / "manifest.csv").write_text(text)
        return ManifestDataset(str(tmp_path / "manifest.csv"))

    return write


def test_every_form_of_the_table_gives_the_same_labels(manifest, tmp_path, monkeypatch):
    tables = [manifest(text).load().labels for text in blocks("csv")]
    for name in IMAGES:
        (tmp_path / Path(name).name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    exec(blocks("python")[0], {})
    tables.append(ManifestDataset("manifest.parquet").load().labels)
    assert len(tables) == 3
    for labels in tables:
        assert labels.space.names == ("fork", "knife", "plate")
        np.testing.assert_array_equal(labels.states, STATES)
        assert labels.split.tolist() == ["train", "train", "test"]


def test_example_for_class_folders_writes_a_table(tmp_path, monkeypatch):
    for name in ("cat/1.jpg", "dog/1.jpg", "dog/2.jpg"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    exec(blocks("python")[1], {})
    raw = ManifestDataset("manifest.csv").load()
    assert raw.labels.space.names == ("cat", "dog")
    assert raw.labels.states.tolist() == [[1, 1], [0, 1]]


def test_parameters_of_the_page_are_valid():
    parameters = yaml.safe_load(blocks("yaml")[0])
    assert DataOptions(**parameters["data"]).source == "catalog"


def test_every_catalog_entry_can_be_built():
    entries = [yaml.safe_load(text)["raw_images"] for text in blocks("yaml")[1:]]
    for entry in entries:
        AbstractDataset.from_config("raw_images", entry)
    kinds = (ManifestDataset, VocDataset, CocoDataset, NusWideDataset)
    assert [entry["type"] for entry in entries] == [f"mlic.datasets.{k.__name__}" for k in kinds]


def test_error_messages_are_those_of_the_page(manifest, tmp_path):
    names, columns = blocks("csv")
    messages = []

    def fail(dataset):
        with pytest.raises(DatasetError) as error:
            dataset.load()
        messages.append(str(error.value).replace(str(tmp_path), "<data>"))

    fail(manifest(names.replace("path,", "Path,")))
    (tmp_path / IMAGES[1]).unlink()
    (tmp_path / IMAGES[2]).unlink()
    fail(manifest(names))
    for name in IMAGES:
        (tmp_path / name).write_bytes(b"x")
    fail(manifest(names.replace("?fork", "Fork")))
    fail(manifest(columns.replace("train,,0", "train,yes,0")))
    (tmp_path / "VOC2007").mkdir()
    fail(VocDataset(str(tmp_path), 2007, "trainval"))
    fail(CocoDataset(str(tmp_path)))
    fail(NusWideDataset(str(tmp_path)))
    assert messages == blocks("text")[-1].splitlines()
