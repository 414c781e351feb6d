"""Ids, names and empty texts come back as they were from every file that mlic writes itself."""

import tempfile

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from mlic.datasets import JSONObjectDataset, LabelMatrixDataset, ManifestDataset, SafetensorsDataset
from mlic.evaluation.predictions import Predictions
from mlic.images.records import ImageRecords
from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix, LabelSpace
from mlic.labels.partition import Partition
from mlic.labels.statistics import count_labels

ODD = ["007", "NA", "nan", "null", "1e5", "True", "no", "2024-01-01", " ", "x" * 300, "for\xeat",
       "fore\u0302t", "a,b", 'say "x"', "two\nlines", "cr\rlf\r\n", "=1+1", "'=1", "-", "[a]",
       "\t", "\u200b", "'", "None", "#N/A", "../x", "a/b"]  # fmt: skip
# no NUL: NumPy ends a text there; no half of a surrogate pair: it is no text
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
NAMES = st.one_of(st.sampled_from(ODD), TEXTS)
LISTS = st.lists(NAMES, min_size=2, max_size=6, unique=True)
ids = LISTS
labels = st.lists(NAMES.filter(str.strip), min_size=2, max_size=6, unique=True)


def matrix_of(names, space):
    states = np.resize(np.array([1, 0, -1], dtype=np.int8), (len(names), len(space)))
    return LabelMatrix(
        LabelSpace(tuple(space)), names, states, np.resize(["train", ""], len(names))
    )


def through(dataset, data):
    with tempfile.TemporaryDirectory() as folder:
        made = dataset(folder)
        made.save(data)
        return made.load()


@given(ids, labels)
@example(ODD, [text for text in ODD if text.strip()])
def test_label_matrix(names, space):
    matrix = matrix_of(names, space)
    found = through(lambda folder: LabelMatrixDataset(f"{folder}/l.parquet"), matrix)
    assert found.ids.tolist() == list(names) and found.space.names == tuple(space)
    assert found.fingerprint == matrix.fingerprint


@given(ids, labels)
@example(ODD, [text for text in ODD if text.strip()])
def test_manifest(names, space):
    raw = ImageRecords(matrix_of(names, space), [b"image"] * len(names))
    found = through(lambda folder: ManifestDataset(f"{folder}/m.parquet"), raw)
    assert found.labels.ids.tolist() == list(names)
    assert found.labels.fingerprint == raw.labels.fingerprint


@given(labels)
@example([text for text in ODD if text.strip()])
def test_partition_and_statistics(space):
    whole = LabelSpace(tuple(space))
    partition = Partition(whole, "user", (tuple(range(1, len(whole))), (0,)), titles=("=1", "NA"))
    cls = "mlic.labels.partition.Partition"
    assert through(lambda f: JSONObjectDataset(f"{f}/p.json", cls=cls), partition) == partition
    counted = count_labels(np.ones((3, len(whole)), dtype=np.int8), whole)
    cls = "mlic.labels.statistics.LabelStatistics"
    found = through(lambda f: SafetensorsDataset(f"{f}/s.safetensors", cls=cls), counted)
    assert found.space == whole


@given(ids, labels)
@example(ODD, [text for text in ODD if text.strip()])
def test_images_and_predictions(names, space):
    store = ImageStore.from_arrays(names, np.zeros((len(names), 2, 2, 3), dtype=np.uint8))
    with tempfile.TemporaryDirectory() as folder:
        store.save(folder)
        assert ImageStore.open(folder).ids.tolist() == list(names)
    logits = np.zeros((len(names), len(space)), dtype=np.float32)
    made = Predictions(np.asarray(names), {"baseline": logits}, {"baseline": tuple(space)})
    cls = "mlic.evaluation.predictions.Predictions"
    found = through(lambda f: SafetensorsDataset(f"{f}/p.safetensors", cls=cls), made)
    assert found.ids.tolist() == list(names) and found.labels == made.labels
