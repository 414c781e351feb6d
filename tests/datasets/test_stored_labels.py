"""Tables of several row groups: what is read from them, and what is refused."""

import copy
import pickle
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.datasets import DatasetDataError, LabelMatrixDataset, label_matrix, stored_labels
from mlic.datasets.stored_labels import StoredLabelMatrix
from mlic.labels import LabelMatrix, LabelSpace
from mlic.labels import matrix as matrix_module
from mlic.labels.matrix_digest import MatrixDigest
from mlic.labels.statistics import count_labels
from mlic.pipelines.label_statistics.nodes import count_training_labels, tabulate_labels

SPACE = LabelSpace(("cat", "dög", "cow"))
NUM_IMAGES = 20


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Blocks of two images, and row groups of four."""
    monkeypatch.setattr(label_matrix, "GROUP_BLOCKS", 2)
    monkeypatch.setattr(matrix_module, "BLOCK_STATES", 2 * len(SPACE))


def make_matrix(seed=0):
    rng = np.random.default_rng(seed)
    return LabelMatrix(
        SPACE,
        [f"{number}.jpg" for number in range(NUM_IMAGES)],
        rng.choice([1, 0, -1], (NUM_IMAGES, len(SPACE))),
        rng.choice(["train", "validation", "test", ""], NUM_IMAGES),
    )


def save(folder, matrix=None):
    dataset = LabelMatrixDataset(str(folder / "labels.parquet"))
    dataset.save(make_matrix() if matrix is None else matrix)
    return dataset


def rewrite(folder, change):
    """Change the columns of the file, as another program would, and keep its metadata."""
    file = folder / "labels.parquet"
    table = pq.read_table(file)
    columns = {name: table[name].to_pylist() for name in table.column_names}
    change(columns)
    types = {"image_id": pa.string(), "split": pa.string(), "labels": table["labels"].type}
    arrays = {name: pa.array(columns[name], types[name]) for name in columns}
    changed = pa.table(arrays).replace_schema_metadata(table.schema.metadata)
    pq.write_table(changed, file, row_group_size=4)


def sign(folder):
    """Give the file the fingerprint of its content, whatever that is."""
    file = folder / "labels.parquet"
    table = pq.read_table(file)
    digest = MatrixDigest(SPACE)
    digest.add_texts([table["image_id"].to_pylist()])
    digest.add_states(np.array(table["labels"].to_pylist(), np.int8))
    digest.add_texts([table["split"].to_pylist()])
    known = table.schema.metadata | {b"fingerprint": digest.fingerprint.encode()}
    pq.write_table(table.replace_schema_metadata(known), file, row_group_size=4)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 20), st.integers(1, 60), st.integers(0, 10**6))
def test_a_table_of_row_groups_is_read_as_it_was_saved(tmp_path, length, size, seed):
    matrix = make_matrix(seed).take(range(length))
    loaded = pickle.loads(pickle.dumps(save(tmp_path, matrix).load()))
    assert isinstance(loaded, StoredLabelMatrix) == (length > 4) and len(loaded) == length
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix_module, "BLOCK_STATES", size)
        blocks = list(loaded.blocks())
    assert np.array_equal(np.vstack([matrix.states[:0], *[s for s, _ in blocks]]), matrix.states)
    assert [name for _, split in blocks for name in split.tolist()] == matrix.split.tolist()
    assert loaded.ids.tolist() == matrix.ids.tolist()
    assert loaded.split.tolist() == matrix.split.tolist()
    assert np.array_equal(loaded.states, matrix.states) and loaded.states.dtype == np.int8
    assert loaded.fingerprint == matrix.fingerprint


def test_the_file_has_row_groups_of_bounded_size(tmp_path):
    save(tmp_path)
    about = pq.ParquetFile(tmp_path / "labels.parquet").metadata
    assert [about.row_group(i).num_rows for i in range(about.num_row_groups)] == [4] * 5


def test_both_nodes_count_without_reading_the_whole_table(tmp_path):
    matrix, stored = make_matrix(), save(tmp_path).load()
    train = matrix.states[matrix.split == "train"]
    for labels in (stored, matrix):
        found, expected = count_training_labels(labels), count_labels(train, SPACE)
        for name, tensor in expected.to_tensors()[0].items():
            assert np.array_equal(found.to_tensors()[0][name], tensor)
        assert found.num_images == len(train)
        table = tabulate_labels(labels)
        for split in ("train", "validation", "test"):
            expected = (matrix.states[matrix.split == split] == 1).sum(axis=0)
            assert table[split].tolist() == expected.tolist()
        assert table["unknown"].tolist() == (matrix.states == -1).sum(axis=0).tolist()
    assert "_whole" not in vars(stored)


def test_a_stored_matrix_gives_matrices_of_rows_labels_and_splits(tmp_path):
    matrix, stored = make_matrix(), save(tmp_path).load()
    assert stored.in_split("train").fingerprint == matrix.in_split("train").fingerprint
    assert stored.with_labels([2, 0]).fingerprint == matrix.with_labels([2, 0]).fingerprint
    other = np.full(NUM_IMAGES, "test")
    assert stored.with_split(other).fingerprint == matrix.with_split(other).fingerprint
    assert copy.deepcopy(stored).rows("test").tolist() == matrix.rows("test").tolist()
    assert len(list(stored.blocks())) == 10  # from memory


def swap_states(columns):
    columns["labels"][5], columns["labels"][6] = columns["labels"][6], columns["labels"][5]


def rename_split(columns):
    columns["split"][13] = "test" if columns["split"][13] != "test" else "train"


def rename_image(columns):
    columns["image_id"][19] = "another.jpg"


def join_ids(columns):
    columns["image_id"][0:2] = ["0.jp", "g1.jpg"]


def drop_row(columns):
    for values in columns.values():
        del values[7]


@pytest.mark.parametrize("change", [swap_states, rename_split, rename_image, join_ids, drop_row])
@pytest.mark.parametrize("loaded_before", [False, True])
def test_an_edited_table_gives_no_counts(tmp_path, change, loaded_before):
    dataset = save(tmp_path)
    labels = dataset.load() if loaded_before else None
    rewrite(tmp_path, change)
    labels = labels or dataset.load()
    uses = [count_training_labels, tabulate_labels, lambda it: it.states, lambda it: it.fingerprint]
    for use in uses:
        with pytest.raises(DatasetDataError, match="fingerprint") as error:
            use(labels)
        assert error.value.fields["path"] == tmp_path / "labels.parquet"


def test_another_table_that_replaced_the_loaded_one_gives_no_counts(tmp_path):
    labels = save(tmp_path).load()
    save(tmp_path, make_matrix(seed=1))
    for use in (count_training_labels, lambda it: it.states):
        with pytest.raises(DatasetDataError, match="fingerprint"):
            use(labels)
    assert count_training_labels(save(tmp_path).load()).num_images > 0
    (tmp_path / "labels.parquet").unlink()
    with pytest.raises(DatasetDataError, match="does not exist"):
        tabulate_labels(labels)


def set_state(columns):
    columns["labels"][17] = [0, 2, 0]


def set_split(columns):
    columns["split"][17] = "val"


def repeat_id(columns):
    columns["image_id"][17] = columns["image_id"][2]


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        (set_state, {"found": 2}),
        (set_split, {"name": "val"}),
        (repeat_id, {"name": "2.jpg"}),
    ],
)
@pytest.mark.parametrize("signed", [False, True])
def test_wrong_content_is_refused_as_in_a_matrix(tmp_path, change, fields, signed):
    dataset = save(tmp_path)
    rewrite(tmp_path, change)
    if signed:
        sign(tmp_path)
    for use in (count_training_labels, tabulate_labels, lambda it: it.ids):
        with pytest.raises(DatasetDataError) as error:
            use(dataset.load())
        assert error.value.fields == {"path": tmp_path / "labels.parquet"} | fields


def test_ids_that_have_one_hash_by_chance_are_accepted(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_labels, "hash", lambda name: len(name), raising=False)
    assert count_training_labels(save(tmp_path).load()).num_images > 0


def test_a_missing_value_is_refused(tmp_path):
    for column in ("image_id", "split", "labels"):
        dataset = save(tmp_path)
        rewrite(tmp_path, lambda columns, name=column: columns[name].__setitem__(9, None))
        with pytest.raises(DatasetDataError, match=r"labels\.parquet"):
            count_training_labels(dataset.load())


def test_a_table_without_class_list_is_refused_when_it_is_loaded(tmp_path):
    dataset, file = save(tmp_path), tmp_path / "labels.parquet"
    pq.write_table(pq.read_table(file).replace_schema_metadata({}), file, row_group_size=4)
    with pytest.raises(DatasetDataError, match=r"labels\.parquet.*'classes'"):
        dataset.load()


def test_a_reader_may_stop_early(tmp_path):
    labels = save(tmp_path).load()
    assert len(list(islice(labels.blocks(), 2))) == 2


def test_a_preview_reads_the_first_rows(tmp_path):
    dataset = save(tmp_path)
    assert len(dataset.preview(nrows=2)["data"]) == 2
    assert len(dataset.preview(nrows=100)["data"]) == NUM_IMAGES
