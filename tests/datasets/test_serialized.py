import json
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from safetensors.numpy import load_file

from mlic.datasets import DatasetDataError, JSONObjectDataset, SafetensorsDataset
from mlic.errors import PartitionError

HERE = __name__


@dataclass
class Targets:
    logits: np.ndarray
    view: str

    def to_tensors(self):
        return {"logits": self.logits}, {"view": self.view}

    @classmethod
    def from_tensors(cls, tensors, metadata):
        assert set(metadata) == {"view"}
        return cls(tensors["logits"], metadata["view"])


@dataclass
class Parts:
    parts: list

    def to_dict(self):
        return {"parts": self.parts}

    @classmethod
    def from_dict(cls, content):
        if not content["parts"]:
            raise PartitionError("a partition has at least one part: give one")
        return cls(**content)


@pytest.fixture
def tensors(tmp_path):
    return SafetensorsDataset(str(tmp_path / "deep" / "x.safetensors"), cls=f"{HERE}.Targets")


@pytest.fixture
def document(tmp_path):
    return JSONObjectDataset(str(tmp_path / "deep" / "x.json"), cls=f"{HERE}.Parts")


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float16).reshape(2, 3),
        np.arange(6, dtype=np.int64).reshape(2, 3).T,  # strided
        np.arange(10, dtype=np.float32)[::2],
        np.asarray(3.0),
        np.zeros((0, 4), dtype=np.int8),
    ],
)
def test_an_object_of_arrays_comes_back(tensors, array):
    tensors.save(Targets(array, "train"))
    back = pickle.loads(pickle.dumps(tensors)).load()
    assert back.view == "train" and back.logits.dtype == array.dtype
    np.testing.assert_array_equal(back.logits, array)
    assert [path.name for path in tensors._filepath.parent.iterdir()] == ["x.safetensors"]


def test_plain_arrays_are_readable_by_anyone(tmp_path):
    dataset = SafetensorsDataset(str(tmp_path / "x.safetensors"))
    dataset.save({"w": np.eye(2)})
    np.testing.assert_array_equal(load_file(tmp_path / "x.safetensors")["w"], dataset.load()["w"])


def test_an_object_of_values_comes_back(document):
    document.save(Parts([["ä", 1], ["b"]]))
    assert document.load() == Parts([["ä", 1], ["b"]])
    assert json.loads(document.preview()) == {"cls": f"{HERE}.Parts", "parts": [["ä", 1], ["b"]]}
    assert document.preview.__annotations__["return"] == "JSONPreview"
    assert [path.name for path in document._filepath.parent.iterdir()] == ["x.json"]


@pytest.mark.parametrize("damage", [b"", b"{", b"\x10\0\0\0\0\0\0\0rubbish"])
def test_damage_is_named(tensors, document, damage):
    tensors.save(Targets(np.eye(2), ""))
    document.save(Parts([1]))
    for dataset in (tensors, document):
        dataset._filepath.write_bytes(damage)
        with pytest.raises(DatasetDataError, match=f"{dataset._filepath.name} cannot be read"):
            dataset.load()
        dataset._filepath.unlink()
        with pytest.raises(DatasetDataError, match="does not exist"):
            dataset.load()


def test_another_class_is_refused(tmp_path, tensors, document):
    tensors.save(Targets(np.eye(2), ""))
    document.save(Parts([1]))
    other = "collections.Counter"
    for dataset in (tensors, document):
        for holds in (other, None):
            stranger = type(dataset)(str(dataset._filepath), cls=holds)
            with pytest.raises(DatasetDataError, match=rf"holds {HERE}\.\w+, not"):
                stranger.load()
        with pytest.raises(DatasetDataError, match="correct 'cls'"):
            dataset.save({"a": 1})
        with pytest.raises(DatasetDataError, match=r"no class 'no\.such'"):
            type(dataset)(str(tmp_path / "y"), cls="no.such").save({})


def test_errors_of_science_are_kedros_too_and_leave_no_file(document):
    document._filepath.parent.mkdir()
    document._filepath.write_text(json.dumps({"cls": f"{HERE}.Parts", "parts": []}))
    with pytest.raises(DatasetDataError, match=r"x\.json: a partition has at least one part"):
        document.load()


def test_nan_is_not_json_and_the_old_file_stays(document):
    document.save(Parts([1]))
    with pytest.raises(DatasetDataError, match="cannot be read or written"):
        document.save(Parts([float("nan")]))
    assert document.load() == Parts([1])
