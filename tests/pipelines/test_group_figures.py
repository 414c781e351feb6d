import json
from typing import get_type_hints

import numpy as np
import pandas as pd
import pytest
from kedro_datasets.plotly import JSONDataset

from mlic.labels import LabelSpace
from mlic.labels.graph import label_graph
from mlic.labels.options import PartitionOptions
from mlic.labels.statistics import count_labels
from mlic.pipelines.graph_partition import create_pipeline
from mlic.pipelines.graph_partition.figures import (
    draw_partitions,
    draw_survey,
    suggest_parts,
    survey_groups,
)
from mlic.pipelines.graph_partition.nodes import cut_graph

OPTIONS = PartitionOptions(num_parts=3)


@pytest.fixture(scope="module")
def counted():
    rng = np.random.default_rng(0)
    return count_labels((rng.random((80, 6)) < 0.4).astype(np.int8), LabelSpace(tuple("abcdef")))


@pytest.fixture(scope="module")
def graph(counted):
    return label_graph(counted, "cgp", 0.5)


@pytest.fixture(scope="module")
def survey(graph, counted):
    return survey_groups(graph, counted, OPTIONS, 0)


def test_the_wired_number_is_surveyed_as_it_is_cut(graph, counted, survey):
    assert survey["num_parts"].tolist() == [2, 3]
    cut = cut_graph(graph, counted, OPTIONS, 0)
    assert survey["ncut"][1] == pytest.approx(cut.quality["ncut"])
    alone = survey_groups(graph, counted, PartitionOptions(num_parts=1), 0)
    assert alone["num_parts"].tolist() == [1, 2, 3]


def test_figures_survive_their_files(graph, counted, survey, tmp_path):
    survey.to_csv(tmp_path / "survey.csv", index=False)
    again = pd.read_csv(tmp_path / "survey.csv")
    cut = cut_graph(graph, counted, OPTIONS, 0)
    for figure in (
        draw_survey(again, read_back(suggest_parts(counted, 0)), OPTIONS),
        draw_partitions(counted, partition_cgp=cut),
    ):
        dataset = JSONDataset(filepath=str(tmp_path / "figure.json"))
        dataset.save(figure)
        assert len(dataset.load().data) == len(figure.data)


def read_back(document):
    return json.loads(json.dumps(document, allow_nan=False))


def test_planted_communities_are_suggested_and_marked(survey):
    planted = np.kron(np.eye(3, dtype=np.int8), np.ones((4, 2), np.int8))
    suggested = suggest_parts(count_labels(planted, LabelSpace(tuple("abcdef"))), seed=0)
    assert (suggested["num_parts"], suggested["share"]) == (3, 1)
    told = [note.text for note in draw_survey(survey, suggested, OPTIONS).layout.annotations]
    assert told == ["chosen: 3", "communities: 3 (100% of seeds)"]


def test_labels_without_company_suggest_nothing(survey):
    alone = count_labels(np.eye(6, dtype=np.int8), LabelSpace(tuple("abcdef")))
    suggested = read_back(suggest_parts(alone, seed=0))
    assert suggested["num_parts"] is None
    told = [note.text for note in draw_survey(survey, suggested, OPTIONS).layout.annotations]
    assert told == ["chosen: 3"]


@pytest.mark.parametrize("strategies", [("cgp", "dgp"), ("dgp", "full_label"), ("random", "user")])
def test_one_suggestion_stands_beside_all_surveys(strategies):
    cut = {name for name in strategies if name in ("cgp", "dgp")}
    pipeline = create_pipeline(strategies)
    suggesting = [node for node in pipeline.nodes if node.outputs == ["suggested_parts"]]
    assert len(suggesting) == (1 if cut else 0)
    drawn = [node for node in pipeline.nodes if "suggested_parts" in node.inputs]
    assert {node.outputs[0] for node in drawn} == {f"survey_{name}_figure" for name in cut}


@pytest.mark.parametrize("node", [survey_groups, suggest_parts, draw_survey, draw_partitions])
def test_kedro_can_read_the_annotations(node):
    assert "return" in get_type_hints(node)  # else parameters would arrive unchecked
