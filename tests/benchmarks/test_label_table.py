import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from mlic.datasets import LabelMatrixDataset, label_matrix
from mlic.labels import LabelMatrix

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
RESULTS = BENCHMARKS / "results" / "label_table.json"


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(BENCHMARKS))
    import label_table

    yield label_table
    sys.path.remove(str(BENCHMARKS))


def rows_of(script, images, above, counts="a"):
    return [
        {
            "work": work,
            "images": images,
            "above MB": above[work],
            "training counts": counts,
            "all counts": "" if work == script.TABLE else counts,
        }
        for work in above
    ]


def test_claims_compare_memory_and_counts(script):
    one, ten = (dict.fromkeys(script.WORKS, above) for above in (100, 120))
    ten |= {script.TABLE: 140, script.WHOLE: 1200}
    many = {script.STATISTICS: 210, script.TABLE: 150}
    rows = rows_of(script, 100_000, one) + rows_of(script, 1_000_000, ten, "b")
    rows += rows_of(script, 10_000_000, many, "c")
    claims = script.check_claims(rows)
    assert [claim.value for claim in claims] == [1.2, 10.0, 1.4, 10 / 9, 10.0, 0, 0]
    assert [claim.holds for claim in claims] == [True, False, False, True, True, True, True]
    rows[2]["all counts"] = "d"
    assert [claim.holds for claim in script.check_claims(rows)][-2:] == [True, False]


def test_the_table_is_that_of_the_dataset(script, tmp_path, monkeypatch):
    monkeypatch.setattr(label_matrix, "GROUP_BLOCKS", 1)
    number = 2 * label_matrix.group_length(script.space()) + 5
    script.write_table(tmp_path / "labels.parquet", number)
    groups = list(script.draw_groups(number))
    whole = LabelMatrix(
        script.space(),
        np.concatenate([group.ids for group in groups]),
        np.concatenate([group.states for group in groups]),
        np.concatenate([group.split for group in groups]),
    )
    LabelMatrixDataset(str(tmp_path / "saved.parquet")).save(whole)
    loaded = LabelMatrixDataset(str(tmp_path / "labels.parquet")).load()
    assert len(groups) == 3 and loaded.fingerprint == whole.fingerprint
    assert (tmp_path / "labels.parquet").read_bytes() == (tmp_path / "saved.parquet").read_bytes()


@pytest.mark.skipif(not RESULTS.is_file(), reason="no committed result of label_table")
def test_committed_claims_follow_from_the_committed_rows(script):
    kept = json.loads(RESULTS.read_text())
    assert [asdict(claim) for claim in script.check_claims(kept["rows"])] == kept["claims"]
