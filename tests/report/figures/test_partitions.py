from html import unescape

import numpy as np
import plotly.io
import pytest

from mlic.errors import LabelError, PartitionError
from mlic.labels import LabelSpace
from mlic.labels.graph import affinity
from mlic.labels.partition import user_partition
from mlic.labels.partition.partitioning import random_partition
from mlic.labels.partition.survey import Suggestion
from mlic.labels.statistics import count_labels
from mlic.report.figures import draw_partitions, draw_survey
from mlic.report.figures.partitions import order_labels

NAMES = ("1", "2", "2024-01-01", "<b>", "dog", "cat", "cow")


@pytest.fixture(scope="module")
def counted():
    rng = np.random.default_rng(0)
    return count_labels((rng.random((60, 7)) < 0.4).astype(np.int8), LabelSpace(NAMES))


@pytest.fixture(scope="module")
def parts(counted):
    return user_partition([NAMES[4:], NAMES[:4]], counted.space)


def test_cells_stand_where_their_labels_are_named(counted, parts):
    heat = draw_partitions(counted, {"cgp": parts}).data[0]
    company = affinity(counted, "co", 0.5)
    for row, first in enumerate(heat.y):
        for column, second in enumerate(heat.x):
            i, j = counted.space.index(unescape(first)), counted.space.index(unescape(second))
            assert heat.z[row, column] == pytest.approx(100 * company[i, j], abs=0.5)
            assert heat.customdata[row, column] == counted.cooccurrence[i, j]


def test_order_is_part_by_part_and_by_count(counted, parts):
    first, second = order_labels(parts, counted.counts)
    assert sorted(first) == [0, 1, 2, 3] and sorted(second) == [4, 5, 6]
    assert all(np.diff(counted.counts[first]) <= 0)
    few = np.concatenate(order_labels(parts, counted.counts, most=3))
    assert sorted(few) == sorted(np.argsort(-counted.counts, kind="stable")[:3])


def test_every_part_is_framed_and_numbered(counted, parts):
    both = draw_partitions(counted, {"cgp": parts, "random": random_partition(parts.space, [7])})
    corners = [(s.x0, s.x1) for s in both.layout.shapes]
    assert corners == [(-0.5, 3.5), (3.5, 6.5), (-0.5, 6.5)]
    texts = [note.text for note in both.layout.annotations]
    assert "(CGP)" in texts[0] and texts[2:] == ["0", "1", "0"]


def test_a_figure_survives_json_with_its_categories(counted, parts):
    figure = draw_partitions(counted, {"cgp": parts})
    again = plotly.io.from_json(figure.to_json())
    assert again.layout.xaxis.type == again.layout.yaxis.type == "category"
    assert tuple(again.data[0].y) == tuple(figure.data[0].y)


def test_a_map_holds_the_most_frequent_of_too_many_labels():
    space = LabelSpace(tuple(f"l{i}" for i in range(520)))
    states = np.repeat(np.eye(520, dtype=np.int8), [1] * 20 + [2] * 500, axis=0)
    figure = draw_partitions(count_labels(states, space), {"a": random_partition(space, [500, 20])})
    assert set(figure.data[0].y) == set(space.names[20:])
    assert max(shape.x1 for shape in figure.layout.shapes) == 499.5


def test_more_than_two_partitions_stand_in_rows_of_two(counted, parts):
    figure = draw_partitions(counted, {"cgp": parts, "dgp": parts, "user": parts})
    assert [trace.xaxis for trace in figure.data] == ["x", "x2", "x3"]
    assert figure.layout.yaxis3.domain[1] < figure.layout.yaxis.domain[0]


def test_what_cannot_be_drawn(counted, parts):
    with pytest.raises(PartitionError, match="no partition to draw"):
        draw_partitions(counted, {})
    with pytest.raises(LabelError, match="labels do not match"):
        draw_partitions(counted, {"user": user_partition([["a"]], LabelSpace(("a",)))})


def survey_rows(ks):
    figures = {"coverage_graph_random": 0.5, "coverage_graph_random_sd": 0.1, "stability": 0.9}
    return [{"num_parts": k, "coverage_graph": 1 / k, **figures} for k in ks]


def test_survey_marks_what_is_chosen_and_what_is_suggested():
    figure = draw_survey(survey_rows([2, 3, 4]), chosen=4, suggestion=Suggestion(3, 0.75, 0.2))
    band, _, groups, _ = figure.data
    assert groups.x == (2, 3, 4) and groups.y == (1 / 2, 1 / 3, 1 / 4)
    assert min(band.y) == pytest.approx(0.3) and max(band.y) == pytest.approx(0.7)
    assert [note.text for note in figure.layout.annotations] == [
        "chosen: 4",
        "communities: 3 (75% of seeds)",
    ]
    assert {shape.x0 for shape in figure.layout.shapes} == {3, 4}


def test_survey_without_a_suggestion_marks_the_choice_alone():
    figure = draw_survey(survey_rows([2]), chosen=2, suggestion=Suggestion(None, 1.0, 0.0))
    assert [note.text for note in figure.layout.annotations] == ["chosen: 2"]
