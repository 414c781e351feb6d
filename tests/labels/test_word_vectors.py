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


def test_a_name_of_several_words_gets_the_mean_of_their_vectors(glove):
    names = ["traffic light", "Dog", "traffic-light", "flower/pot"]
    assert read_glove(glove, names, 2).tolist() == [[4, 6], [1, 2], [4, 6], [-1, 0]]


def test_every_name_without_a_vector_is_listed(glove):
    with pytest.raises(LabelError, match="hot dog, cat") as error:
        read_glove(glove, ["dog", "hot dog", "cat"], 2)
    assert error.value.fields == {"path": glove, "label": "hot dog"}


@pytest.mark.parametrize("keys", [("names", "vectors"), ("classes", "glove")])
def test_arrays_are_matched_by_name_and_not_by_row(tmp_path, keys):
    vectors = np.arange(6).reshape(3, 2)
    arrays = dict(zip(keys, (np.array(["Cat", "hot dog", "tie"]), vectors), strict=True))
    path = write_arrays(tmp_path / "v.npz", **arrays)
    assert read_glove(path, ["hot dog", "cat"], 2).tolist() == [[2, 3], [0, 1]]
    with pytest.raises(LabelError) as error:
        read_glove(path, ["dog"], 2)
    assert error.value.fields["label"] == "dog"


@pytest.mark.parametrize("form", ["text", "arrays"])
def test_another_dimension_is_refused(tmp_path, glove, form):
    arrays = {"names": np.array(["dog"]), "vectors": np.ones((1, 2))}
    path = glove if form == "text" else write_arrays(tmp_path / "v.npz", **arrays)
    with pytest.raises(ParameterError) as error:
        read_glove(path, ["dog"], 300)
    assert error.value.fields["value"] == 300 and error.value.fields["expected"] == 2


def test_files_of_other_formats_are_refused(tmp_path):
    (tmp_path / "bytes.txt").write_bytes(b"dog \xff\xfe 1\n")
    (tmp_path / "words.txt").write_text("dog one two\n")
    (tmp_path / "broken.npz").write_bytes(b"PK no archive")
    write_arrays(tmp_path / "unnamed.npz", a=np.ones(2))
    write_arrays(tmp_path / "rows.npz", names=np.array(["dog"]), vectors=np.ones((2, 2)))
    names = ("gone.txt", "bytes.txt", "words.txt", "broken.npz", "unnamed.npz", "rows.npz")
    for path in (tmp_path / name for name in names):
        with pytest.raises(DataError) as error:
            read_glove(path, ["dog"], 2)
        assert error.value.fields == {"path": path}


def test_nothing_is_unpickled(tmp_path):
    names = np.array(["dog", {}], dtype=object)
    path = write_arrays(tmp_path / "v.npz", names=names, vectors=np.ones((2, 2)))
    with pytest.raises(DataError) as error:
        read_glove(path, ["dog"], 2)
    assert error.value.fields == {"path": path}
