from typing import get_type_hints

import numpy as np
import pandas as pd
import pytest
from kedro_datasets.plotly import JSONDataset

from mlic.labels import LabelSpace
from mlic.labels.graph import label_graph
from mlic.labels.options import PartitionOptions
from mlic.labels.statistics import count_labels
from mlic.pipelines.graph_partition.figures import draw_partitions, draw_survey, survey_groups
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
        draw_survey(again, counted, OPTIONS, 0),
        draw_partitions(counted, partition_cgp=cut),
    ):
        dataset = JSONDataset(filepath=str(tmp_path / "figure.json"))
        dataset.save(figure)
        assert len(dataset.load().data) == len(figure.data)


@pytest.mark.parametrize("node", [survey_groups, draw_survey, draw_partitions])
def test_kedro_can_read_the_annotations(node):
    assert "return" in get_type_hints(node)  # else parameters would arrive unchecked
