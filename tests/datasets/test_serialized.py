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
def test_object_of_arrays_is_read_as_it_was_saved(tensors, array):
    tensors.save(Targets(array, "train"))
    back = pickle.loads(pickle.dumps(tensors)).load()
    assert back.view == "train" and back.logits.dtype == array.dtype
    np.testing.assert_array_equal(back.logits, array)
    assert [path.name for path in tensors._filepath.parent.iterdir()] == ["x.safetensors"]


def test_dict_of_arrays_is_readable_by_other_programs(tmp_path):
    dataset = SafetensorsDataset(str(tmp_path / "x.safetensors"))
    dataset.save({"w": np.eye(2)})
    np.testing.assert_array_equal(load_file(tmp_path / "x.safetensors")["w"], dataset.load()["w"])


def test_object_of_values_is_read_as_it_was_saved(document):
    document.save(Parts([["ä", 1], ["b"]]))
    assert document.load() == Parts([["ä", 1], ["b"]])
    assert json.loads(document.preview()) == {"cls": f"{HERE}.Parts", "parts": [["ä", 1], ["b"]]}
    assert document.preview.__annotations__["return"] == "JSONPreview"
    assert [path.name for path in document._filepath.parent.iterdir()] == ["x.json"]


@pytest.mark.parametrize("damage", [b"", b"{", b"\x10\0\0\0\0\0\0\0rubbish"])
def test_damaged_or_missing_file_is_refused(tensors, document, damage):
    tensors.save(Targets(np.eye(2), ""))
    document.save(Parts([1]))
    for dataset in (tensors, document):
        dataset._filepath.write_bytes(damage)
        with pytest.raises(DatasetDataError) as damaged:
            dataset.load()
        assert damaged.value.fields["path"] == dataset._filepath
        assert "Failed while" not in str(damaged.value)
        dataset._filepath.unlink()
        with pytest.raises(DatasetDataError) as missing:
            dataset.load()
        assert str(missing.value.fields["path"]) == str(dataset._filepath)


def test_another_class_is_refused(tmp_path, tensors, document):
    tensors.save(Targets(np.eye(2), ""))
    document.save(Parts([1]))
    other = "collections.Counter"
    for dataset in (tensors, document):
        for cls in (other, None):
            stranger = type(dataset)(str(dataset._filepath), cls=cls)
            with pytest.raises(DatasetDataError) as caught:
                stranger.load()
            assert caught.value.fields["expected"] == cls
            assert caught.value.fields["found"] == dataset._cls
        with pytest.raises(DatasetDataError) as caught:
            dataset.save({"a": 1})
        assert caught.value.fields["found"] == "dict"
        with pytest.raises(DatasetDataError) as caught:
            type(dataset)(str(tmp_path / "y"), cls="no.such").save({})
        assert caught.value.fields["value"] == "no.such"


def test_errors_of_a_class_are_kedros_errors_too(document):
    document._filepath.parent.mkdir()
    document._filepath.write_text(json.dumps({"cls": f"{HERE}.Parts", "parts": []}))
    with pytest.raises(DatasetDataError, match=r"x\.json: a partition"):
        document.load()


def test_nan_is_refused_and_the_earlier_file_remains(document):
    document.save(Parts([1]))
    with pytest.raises(DatasetDataError) as caught:
        document.save(Parts([float("nan")]))
    assert caught.value.fields["path"] == document._filepath
    assert document.load() == Parts([1])
    assert [path.name for path in document._filepath.parent.iterdir()] == ["x.json"]
