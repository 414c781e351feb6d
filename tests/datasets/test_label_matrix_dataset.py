import pickle

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.datasets import DatasetDataError, LabelMatrixDataset
from mlic.labels import LabelMatrix, LabelSpace


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.sampled_from([1, 0, -1]), min_size=2, max_size=2)))
def test_matrix_is_read_as_it_was_saved(tmp_path, states):
    n = len(states)
    matrix = LabelMatrix(
        LabelSpace(("cat", "dög")),
        [str(i) for i in range(n)],
        np.reshape(np.asarray(states, dtype=np.int8), (n, 2)),
        ["validation"] * n,
    )
    dataset = LabelMatrixDataset(str(tmp_path / "labels.parquet"))
    dataset.save(matrix)
    assert pickle.loads(pickle.dumps(dataset)).load().fingerprint == matrix.fingerprint


def test_edited_file_is_refused(tmp_path):
    file = tmp_path / "labels.parquet"
    dataset = LabelMatrixDataset(str(file))
    dataset.save(LabelMatrix(LabelSpace(("cat",)), ["a", "b"], [[1], [0]], ["train", "test"]))
    table = pq.read_table(file)
    pq.write_table(table.slice(0, 1), file)
    with pytest.raises(DatasetDataError, match="fingerprint"):
        dataset.load()
    pq.write_table(table.replace_schema_metadata({}), file)
    with pytest.raises(DatasetDataError, match=r"labels.parquet.*'classes'"):
        dataset.load()
    file.unlink()
    with pytest.raises(DatasetDataError) as missing:
        dataset.load()
    assert missing.value.fields["path"] == file
    assert not dataset.exists()


def test_the_preview_is_a_table(tmp_path):
    dataset = LabelMatrixDataset(str(tmp_path / "labels.parquet"))
    states = [[1, -1], [0, 0], [1, 1]]
    dataset.save(LabelMatrix(LabelSpace(("cat", "dog")), ["a", "b", "c"], states, ["train"] * 3))
    preview = dataset.preview(nrows=2)
    assert preview["columns"] == ["image_id", "split", "labels"]
    assert preview["data"] == [["a", "train", "cat, ?dog"], ["b", "train", ""]]
