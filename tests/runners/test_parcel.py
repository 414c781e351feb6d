"""Nodes on another machine: which paths, parameters and data go there and come back."""

import json
import operator

import cloudpickle
import numpy as np
import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node

from mlic.caching.memmap import create_memmap
from mlic.config.cluster import RayOptions
from mlic.errors import DataError
from mlic.runners.parcel import Place, pack, run_parcel
from mlic.tracking import runs


def fill(folder, number):
    """A node that fills its part of a folder, and continues where an earlier one stopped."""
    file = folder / "model" / "state.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps([*(json.loads(file.read_text()) if file.exists() else []), number]))
    return json.loads(file.read_text())


def map_file(path):
    return np.load(path, mmap_mode="r")


@pytest.fixture
def catalog(tmp_path):
    def catalog(**entries):
        data = tmp_path / "data"
        folder = {"type": "mlic.datasets.DirectoryDataset", "filepath": str(data / "store")}
        found = {
            name: {"type": "json.JSONDataset", "filepath": str(data / "layer" / f"{name}.json")}
            for name in ("a", "b", "model.checkpoint")
        }
        made = DataCatalog.from_config({**found, "store": folder, **entries})
        made["params:x"] = 5
        return made

    return catalog


@pytest.fixture
def place(tmp_path):
    """A storage, with another folder for copies than the data folder."""
    options = RayOptions(storage=f"file://{tmp_path}/shared", copies=str(tmp_path / "copies"))
    return Place.from_options(tmp_path / "data", options)


ADD = Node(operator.add, ["a", "params:x"], "b", name="add")
FILL = Node(fill, ["store", "params:x"], "model.checkpoint", name="fill")


def test_no_path_of_this_machine_is_in_a_parcel_for_a_storage(catalog, place, tmp_path):
    entries = catalog()
    entries.save("a", 1)
    parcel = pack(ADD, entries, place)
    described = json.dumps([parcel.datasets, parcel.reads, parcel.writes, parcel.fills])
    assert str(tmp_path) not in described
    assert (parcel.reads, parcel.writes) == (["layer/a.json"], ["layer/b.json"])


def test_node_runs_in_another_folder_and_its_results_come_back(catalog, place, tmp_path):
    entries, here = catalog(), place.mirror(place.folder)
    entries.save("a", 37)
    parcel = cloudpickle.loads(cloudpickle.dumps(pack(ADD, entries, place)))
    here.push(parcel.reads)
    values, written = run_parcel(parcel)
    assert not values and not (place.folder / "layer/b.json").exists()
    assert (place.find() / "layer/b.json").is_file() and place.find() != place.folder
    here.pull(written)
    assert entries.load("b") == 42


def test_own_part_of_a_folder_is_continued_on_another_machine(catalog, place, tmp_path):
    entries, here = catalog(), place.mirror(place.folder)
    (place.folder / "store/other").mkdir(parents=True)
    (place.folder / "store/other/large").touch()
    parcel = pack(FILL, entries, place)
    assert (parcel.fills, parcel.continues) == (
        ["store"],
        ["store/model.checkpoint", "store/model"][1:],
    )
    for number in (1, 2):
        here.push(parcel.continues)
        here.pull(run_parcel(parcel).written)
        assert entries.load("model.checkpoint") == [5] * number
    assert not (place.find() / "store/other").exists()


def test_in_one_folder_nothing_is_copied(catalog, tmp_path):
    place = Place(tmp_path / "data")
    entries = catalog()
    entries.save("a", 1)
    assert run_parcel(pack(ADD, entries, place)) == ({}, [])
    assert entries.load("b") == 6


def test_data_in_memory_travel_as_values(catalog, tmp_path):
    place, entries = Place(tmp_path / "data"), catalog(a={"type": "MemoryDataset"})
    entries.save("a", 1)
    assert run_parcel(pack(ADD, entries, place)).values == {}
    unknown = Node(operator.add, ["a", "params:x"], "nowhere", name="add")
    assert run_parcel(pack(unknown, entries, place)).values == {"nowhere": 6}


def test_mapped_array_in_memory_cannot_travel(catalog, tmp_path):
    with create_memmap(tmp_path / "x.npy", (2,), np.float32, {}):
        pass
    entries = catalog()
    entries["params:x"] = str(tmp_path / "x.npy")
    node = Node(map_file, "params:x", "nowhere", name="map")
    with pytest.raises(DataError) as error:
        run_parcel(pack(node, entries, Place(tmp_path / "data")))
    assert error.value.fields == {"name": "nowhere"}


def test_parent_of_the_trainings_is_joined_for_the_time_of_the_node(monkeypatch):
    settings = {"MLIC_MLFLOW_RUN": "1", "MLIC_MLFLOW_URI": "http://x", "MLIC_MLFLOW_SAMPLING": "5"}
    assert runs.parent_settings() == {}
    with runs.join_parent(settings):
        assert runs.parent_settings() == settings
        assert (runs.parent_id(), runs.parent_uri()) == ("1", "http://x")
    assert runs.parent_settings() == {}
