import numpy as np
import pytest

from mlic.errors import LabelError, PartitionError
from mlic.labels import LabelSpace
from mlic.labels.partition import user_partition
from mlic.labels.partition.partitioning import random_partition
from mlic.labels.partition.quality import partition_stability
from mlic.labels.partition.survey import possible_parts, suggest_parts, survey_parts
from mlic.labels.statistics import count_labels


def test_the_planted_number_of_parts_is_suggested(scenes):
    suggestion = suggest_parts(scenes)
    assert (suggestion.num_parts, suggestion.share) == (3, 1.0) and suggestion.modularity > 0.1


def test_labels_that_occur_alone_suggest_no_number():
    alone = count_labels(np.eye(5, dtype=np.int8), LabelSpace(tuple("abcde")))
    assert suggest_parts(alone).num_parts is None
    states = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]], dtype=np.int8)
    pairs = count_labels(states, LabelSpace(tuple("abcde")))
    assert suggest_parts(pairs).num_parts == 2  # the fifth label is no community


def test_rows_of_the_survey(scenes):
    rows = survey_parts(scenes, "cgp", 0.5, possible_parts(12, min_size=3), seed=1, min_size=3)
    assert [row["num_parts"] for row in rows] == [2, 3, 4]
    assert all(3 <= row["smallest"] <= row["largest"] for row in rows)
    best = rows[1]  # the planted number
    assert best["stability"] == 1.0 and best["modularity"] == max(r["modularity"] for r in rows)
    mean, deviation = best["coverage_graph_random"], best["coverage_graph_random_sd"]
    assert best["coverage_graph"] > mean + 5 * deviation
    assert rows == survey_parts(scenes, "cgp", 0.5, [2, 3, 4], seed=1, min_size=3)


def test_survey_of_dis_occurrence_partitions(scenes):
    (row,) = survey_parts(scenes, "dgp", 1 / 3, [4])
    assert row["coverage_graph"] < row["coverage_graph_random"] and row["largest"] == 3


@pytest.mark.parametrize(
    ("num_labels", "min_size", "expected"),
    [(80, 2, [2, 3, 4, 5, 6, 8, 10, 13]), (9, 3, [2, 3]), (3, 2, [])],
)
def test_possible_parts(num_labels, min_size, expected):
    assert possible_parts(num_labels, min_size) == expected


def test_impossible_parts_are_refused(scenes):
    with pytest.raises(PartitionError) as error:
        survey_parts(scenes, "cgp", 0.5, [7])
    assert error.value.fields == {"value": 7, "expected": 6}
    with pytest.raises(PartitionError) as error:
        survey_parts(scenes, "cgp", 0.5, [2], num_seeds=1)
    assert error.value.fields == {"found": 1, "expected": 2}


def test_stability_is_one_for_the_same_and_near_zero_by_chance():
    space = LabelSpace(tuple(map(str, range(60))))
    same = [random_partition(space, [30, 20, 10], 0) for _ in range(3)]
    assert partition_stability(same) == 1.0
    drawn = [random_partition(space, [30, 20, 10], seed) for seed in range(20)]
    assert abs(partition_stability(drawn)) < 0.02
    with pytest.raises(LabelError):
        partition_stability([same[0], user_partition([["a"]], LabelSpace(("a",)))])
