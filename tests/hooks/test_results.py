"""Which files a run has written, and the table at its end."""

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro_datasets.json import JSONDataset

from mlic.hooks.results import (
    ClosingTable,
    entry_files,
    load_summary,
    result_files,
    short_path,
)

SUMMARY = {"baseline": {"mAP": 50.0}, "student": {"mAP": 55.5}, "seconds": {"total": 80.0}}
REPORTING = {"kedro-viz": {"layer": "reporting"}}


def identity(value):
    return value


PIPELINE = Pipeline(
    [
        Node(identity, "data", "model", name="train"),
        Node(identity, "model", "summary", name="summarise"),
        Node(identity, "summary", "figure", name="draw"),
    ]
)
TRAINING_ONLY = PIPELINE.filter(node_names=["train"])


@pytest.fixture
def catalog(tmp_path):
    def entry(name, **metadata):
        return JSONDataset(filepath=str(tmp_path / f"{name}.json"), **metadata)

    summary = entry("summary", metadata=REPORTING)
    summary.save(SUMMARY)
    figure = entry("figure", metadata=REPORTING)
    return DataCatalog({"summary": summary, "figure": figure, "model": entry("model")})


def test_summary_is_loaded_if_the_run_wrote_it(catalog):
    assert load_summary(PIPELINE, catalog) == SUMMARY
    assert load_summary(TRAINING_ONLY, catalog) == {}
    assert load_summary(PIPELINE, DataCatalog()) == {}


def test_result_files_are_those_that_the_run_wrote(catalog, tmp_path):
    assert result_files(PIPELINE, catalog) == [tmp_path / "summary.json"]
    assert result_files(TRAINING_ONLY, catalog) == []


def test_data_in_memory_have_no_file(catalog, tmp_path):
    entries = [catalog["figure"], MemoryDataset()]
    assert entry_files(entries) == [tmp_path / "figure.json"]


def test_paths_are_relative_inside_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert short_path(tmp_path / "data" / "a.json") == "data/a.json"
    assert short_path(tmp_path.parent / "a.json") == str(tmp_path.parent / "a.json")


def test_closing_table_is_shown_with_its_files(catalog, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # paths are short, so that they are not broken into lines
    ClosingTable().after_pipeline_run(PIPELINE, catalog)
    shown = capsys.readouterr().out
    assert "55.5" in shown and "summary.json" in shown


def test_closing_table_is_not_shown_without_a_summary(catalog, capsys):
    ClosingTable().after_pipeline_run(TRAINING_ONLY, catalog)
    assert not capsys.readouterr().out
