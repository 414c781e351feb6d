"""A node that reads a list depends on every file that the list names."""

import json
import os

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

from mlic.runners import SequentialRunner
from mlic.runners.node_cache import filter_stale_nodes

CALLS = []


def count(raw):
    CALLS.append(len(raw))
    return len(raw)


class Project:
    def __init__(self, folder, suffix=".csv", **entry):
        self.folder, self.list = folder, folder / "lists" / f"images{suffix}"
        self.list.parent.mkdir()
        self.entry = {"type": "mlic.datasets.ManifestDataset", "filepath": str(self.list), **entry}

    @property
    def catalog(self):
        return DataCatalog.from_config(
            {
                "raw": self.entry,
                "n": {"type": "json.JSONDataset", "filepath": str(self.folder / "n.json")},
                "node_records": {
                    "type": "mlic.datasets.DirectoryDataset",
                    "filepath": str(self.folder / "records"),
                },
            }
        )

    pipeline = Pipeline([Node(count, "raw", "n", name="count")])

    def run(self):
        SequentialRunner().run(self.pipeline, self.catalog)

    @property
    def is_stale(self):
        return bool(filter_stale_nodes(self.pipeline, self.catalog).nodes)


@pytest.fixture(params=[".csv", ".parquet"])
def project(tmp_path, request):
    import pandas as pd

    project = Project(tmp_path, request.param)
    table = pd.DataFrame({"path": ["a.jpg", "sub/b.jpg"], "labels": ["x", "y"]})
    (project.list.parent / "sub").mkdir()
    for name in table["path"]:
        (project.list.parent / name).write_bytes(b"old")
    write = table.to_csv if request.param == ".csv" else table.to_parquet
    write(project.list, index=False)
    project.run()
    return project


def test_nothing_changed(project):
    assert not project.is_stale
    memo = json.loads((project.folder / "records/.lists.json").read_text())
    assert memo[str(project.list)][-1] == ["a.jpg", "sub/b.jpg"]


@pytest.mark.parametrize("name", ["a.jpg", "sub/b.jpg"])
def test_another_image_under_the_same_name(project, name):
    image = project.list.parent / name
    image.write_bytes(b"new")
    os.utime(image, ns=(1, 1))
    assert project.is_stale
    project.run()
    assert not project.is_stale


def test_an_image_that_was_removed(project):
    (project.list.parent / "a.jpg").unlink()
    assert project.is_stale


def test_an_image_that_is_not_listed(project):
    (project.list.parent / "other.jpg").write_bytes(b"new")
    assert not project.is_stale


@pytest.mark.parametrize("text", ["{", "[]", '{"x": 1}', ""])
def test_a_damaged_memo_is_made_again(project, text):
    (project.folder / "records/.lists.json").write_text(text)
    assert not project.is_stale


def test_a_list_of_images_to_predict(tmp_path):
    project = Project(tmp_path)
    project.entry = {"type": "mlic.datasets.NewImagesDataset", "source": str(project.list)}
    project.list.write_text("image\na.jpg\n")
    project.pipeline = Pipeline([Node(lambda raw: 1, "raw", "n", name="count")])
    (tmp_path / "lists/a.jpg").write_bytes(b"old")
    project.run()
    assert not project.is_stale
    (tmp_path / "lists/a.jpg").write_bytes(b"newer")
    assert project.is_stale


def test_a_folder_of_images_to_predict(tmp_path):
    project = Project(tmp_path)
    folder = tmp_path / "lists"
    project.entry = {"type": "mlic.datasets.NewImagesDataset", "source": str(folder)}
    (folder / "a.jpg").write_bytes(b"old")
    project.pipeline = Pipeline([Node(lambda raw: 1, "raw", "n", name="count")])
    project.run()
    assert not project.is_stale
    (folder / "b.jpg").write_bytes(b"new")
    assert project.is_stale
