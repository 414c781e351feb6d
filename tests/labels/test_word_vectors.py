"""Word vectors are looked up by name; what is lost is named."""

import numpy as np
import pytest

from mlic.errors import DataError, LabelError, ParameterError
from mlic.labels.word_vectors import read_glove

GLOVE = "dog 1 2\ntraffic 3 4\nof light 9 9\nlight 5 8\n'the 0 0\nDog 7 7\nflower/pot -1 0\n"


@pytest.fixture
def glove(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text(GLOVE, encoding="utf-8")
    return path


def write_arrays(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_a_name_has_its_words_mean(glove):
    names = ["traffic light", "Dog", "traffic-light", "flower/pot"]
    assert read_glove(glove, names, 2).tolist() == [[4, 6], [1, 2], [4, 6], [-1, 0]]


def test_every_name_without_a_vector_is_listed(glove):
    with pytest.raises(LabelError, match=r"2 labels \(hot dog, cat\): rename them.*\.npz"):
        read_glove(glove, ["dog", "hot dog", "cat"], 2)


@pytest.mark.parametrize("keys", [("names", "vectors"), ("classes", "glove")])
def test_arrays_are_read_by_name_and_not_by_row(tmp_path, keys):
    vectors = np.arange(6).reshape(3, 2)
    arrays = dict(zip(keys, (np.array(["Cat", "hot dog", "tie"]), vectors), strict=True))
    path = write_arrays(tmp_path / "v.npz", **arrays)
    assert read_glove(path, ["hot dog", "cat"], 2).tolist() == [[2, 3], [0, 1]]
    with pytest.raises(LabelError, match=r"1 labels \(dog\)"):
        read_glove(path, ["dog"], 2)


@pytest.mark.parametrize("form", ["text", "arrays"])
def test_another_dimension_is_told(tmp_path, glove, form):
    arrays = {"names": np.array(["dog"]), "vectors": np.ones((1, 2))}
    path = glove if form == "text" else write_arrays(tmp_path / "v.npz", **arrays)
    with pytest.raises(ParameterError, match=r"dimension=300, but .* have 2 numbers; set it to 2"):
        read_glove(path, ["dog"], 300)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"no file .*gone\.txt; correct"):
        read_glove(tmp_path / "gone.txt", ["dog"], 2)
    (tmp_path / "bytes.txt").write_bytes(b"dog \xff\xfe 1\n")
    (tmp_path / "words.txt").write_text("dog one two\n")
    for name in ("bytes.txt", "words.txt"):
        with pytest.raises(DataError, match="no text of words and their numbers"):
            read_glove(tmp_path / name, ["dog"], 2)
    (tmp_path / "v.npz").write_bytes(b"PK no archive")
    with pytest.raises(DataError, match=r"no \.npz file"):
        read_glove(tmp_path / "v.npz", ["dog"], 2)
    for arrays in ({"a": np.ones(2)}, {"names": np.array(["dog"]), "vectors": np.ones((2, 2))}):
        with pytest.raises(DataError, match="lacks the arrays 'names'"):
            read_glove(write_arrays(tmp_path / "w.npz", **arrays), ["dog"], 2)


def test_nothing_is_unpickled(tmp_path):
    names = np.array(["dog", {}], dtype=object)
    path = write_arrays(tmp_path / "v.npz", names=names, vectors=np.ones((2, 2)))
    with pytest.raises(DataError, match="pickle"):
        read_glove(path, ["dog"], 2)
