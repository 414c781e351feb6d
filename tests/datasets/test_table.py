"""Tables come back cell by cell, and hold nothing that a spreadsheet would run."""

import csv
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlic.datasets import DatasetDataError, TableDataset
from mlic.utils.spreadsheets import neutralise, restore

ODD = ["007", "NA", "nan", "null", "1e5", "True", "2024-01-01", "", " ", "x" * 300, "for\xeat",
       "fore\u0302t", "a,b", 'say "x"', "two\nlines", "cr\rlf\r\n", "=1+1", "'=1", "-", "@x",
       "\t", "\u200b", "'", "None", "-0", "#N/A"]  # fmt: skip
# no terminal NUL: pandas ends a cell there; no half of a surrogate pair: it is no text
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
CELLS = st.one_of(st.sampled_from(ODD), TEXTS)


@given(st.lists(st.tuples(CELLS, CELLS, st.floats(allow_infinity=False)), max_size=20))
@example([(text, text, np.nan) for text in ODD])
def test_every_cell_comes_back(rows):
    table = pd.DataFrame(rows, columns=["id", "=label", "score"])
    with tempfile.TemporaryDirectory() as folder:
        dataset = TableDataset(f"{folder}/t.csv", text=["id", "=label"])
        dataset.save(table)
        found = dataset.load()
        with Path(folder, "t.csv").open(encoding="utf-8", newline="") as file:
            written = [cell for row in list(csv.reader(file))[1:] for cell in row[:2]]
    for name in ("id", "=label"):
        assert found[name].tolist() == [row[list(table).index(name)] for row in rows]
    np.testing.assert_array_equal(found["score"].astype(float), [row[2] for row in rows])
    assert not any(cell.startswith(tuple("=+-@\t\r")) for cell in written)


@given(CELLS)
def test_what_is_neutralised_is_restored(cell):
    assert restore(neutralise(cell)) == cell and not neutralise(cell).startswith(tuple("=+-@"))


def test_texts_must_be_named(tmp_path):
    with pytest.raises(DatasetDataError) as error:
        TableDataset(str(tmp_path / "t.csv")).save(pd.DataFrame({"id": ["007"]}))
    assert error.value.fields["name"] == "id" and not list(tmp_path.iterdir())


def test_preview_has_the_first_rows(tmp_path):
    dataset = TableDataset(str(tmp_path / "t.csv"), text=["id"])
    dataset.save(pd.DataFrame({"id": list("abcdef"), "n": range(6)}))
    assert dataset.preview(2) == {"index": [0, 1], "columns": ["id", "n"],
                                  "data": [["a", 0], ["b", 1]]}  # fmt: skip


def test_interrupted_write_leaves_the_old_table(tmp_path, monkeypatch):
    dataset = TableDataset(str(tmp_path / "t.csv"), text=["id"])
    dataset.save(pd.DataFrame({"id": ["a"]}))

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", stop)
    with pytest.raises(KeyboardInterrupt):
        dataset.save(pd.DataFrame({"id": ["b"]}))
    assert dataset.load()["id"].tolist() == ["a"] and len(list(tmp_path.iterdir())) == 1
