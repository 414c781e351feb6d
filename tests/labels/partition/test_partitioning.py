import json
import warnings

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from mlic.errors import ParameterError, PartitionError
from mlic.labels import LabelSpace
from mlic.labels.graph import affinity
from mlic.labels.partition import user_partition
from mlic.labels.partition.partitioning import (
    METHODS,
    balanced_sizes,
    partition_labels,
    random_partition,
)
from mlic.labels.partition.quality import coverage, cut_value
from mlic.labels.statistics import count_labels

EVERY = [(strategy, method) for strategy, methods in METHODS.items() for method in methods]


@pytest.fixture(scope="module")
def published(shared):
    return json.loads((shared / "partitions/coco_published.json").read_text())


@pytest.mark.parametrize(("strategy", "method"), EVERY)
@pytest.mark.parametrize("num_parts", [1, 2, 5, 12])
def test_every_method_covers_all_labels_and_is_repeatable(scenes, strategy, method, num_parts):
    wanted = scenes, strategy, num_parts, 0.5, 3, method
    one, two = (partition_labels(*wanted, min_size=1) for _ in range(2))
    assert one == two and one.num_parts == num_parts and one.seed == 3
    assert one.strategy == ("random" if method == "random" else strategy)
    assert one.exponent == (None if method == "random" else 0.5)


def test_unknown_strategies_and_bad_exponents_are_refused(scenes):
    with pytest.raises(ParameterError) as error:
        partition_labels(scenes, "cpg", 2, 0.5)
    assert error.value.fields == {"parameter": "strategy", "value": "cpg"}
    for strategy in METHODS:  # though not every cut reads the exponent
        with pytest.raises(ParameterError) as error:
            partition_labels(scenes, strategy, 2, 0)
        assert error.value.fields == {"parameter": "exponent", "value": 0}


def test_cgp_finds_the_scenes_and_dgp_divides_them(scenes):
    joined = partition_labels(scenes, "cgp", 3, 0.5)
    assert joined.parts == ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11))
    apart = partition_labels(scenes, "dgp", 4, 1 / 3)
    assert all(sorted(i // 4 for i in part) == [0, 1, 2] for part in apart.parts)


@pytest.mark.parametrize(("strategy", "method"), EVERY)
def test_labels_that_occur_alone_cause_no_error_or_warning(strategy, method):
    states = np.zeros((40, 10), dtype=np.int8)
    states[:20, :3] = states[20:, 3:5] = 1
    states[0, 5] = states[:20, 0] = 1
    states[1:5, 6:] = 0
    counted = count_labels(states, LabelSpace(tuple("abcdefghij")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for num_parts in (1, 2, 4):
            assert (
                partition_labels(counted, strategy, num_parts, 0.5, 0, method).num_parts
                == num_parts
            )


def test_labels_that_never_occur_together_are_partitioned():
    counted = count_labels(np.eye(8, dtype=np.int8), LabelSpace(tuple("abcdefgh")))
    for strategy in METHODS:
        parts = partition_labels(counted, strategy, 3, 0.5, min_size=2).parts
        assert min(len(part) for part in parts) >= 2


def test_no_part_is_smaller_than_the_smallest_size(scenes):
    for num_parts in (2, 3, 4):
        partition = partition_labels(scenes, "cgp", num_parts, 0.5, min_size=3)
        assert min(len(part) for part in partition.parts) >= 3


@pytest.mark.parametrize(
    ("num_parts", "min_size", "value"), [(0, 2, (0, 2)), (2, 0, (2, 0)), (13, 1, 13), (7, 2, 7)]
)
def test_impossible_numbers_of_parts_are_refused(scenes, num_parts, min_size, value):
    with pytest.raises(PartitionError) as error:
        partition_labels(scenes, "cgp", num_parts, 0.5, min_size=min_size)
    assert error.value.fields["value"] == value


def test_a_method_of_another_strategy_is_refused(scenes):
    with pytest.raises(ParameterError) as error:
        partition_labels(scenes, "dgp", 2, 0.5, method="normalised_cut")
    assert error.value.fields == {"parameter": "method", "value": "normalised_cut"}


def test_random_partitions_differ_by_seed_and_have_the_given_sizes():
    space = LabelSpace(tuple("abcdefgh"))
    drawn = {random_partition(space, [5, 2, 1], seed).parts for seed in range(20)}
    assert len(drawn) > 15 and all([len(p) for p in parts] == [5, 2, 1] for parts in drawn)
    with pytest.raises(PartitionError) as error:
        random_partition(space, [5, 2])
    assert error.value.fields == {"found": 7, "expected": 8}


@pytest.mark.parametrize(
    ("strategy", "entry", "num_parts", "exponent"),
    [
        ("cgp", "cooccurrence", 2, 0.5),
        ("cgp", "cooccurrence", 3, 0.5),
        ("cgp", "cooccurrence", 5, 0.5),
        ("dgp", "disoccurrence", 2, 1 / 3),
    ],
)
def test_published_partitions_are_reproduced(coco, published, strategy, entry, num_parts, exponent):
    ours = partition_labels(coco, strategy, num_parts, exponent, 0, "published")
    theirs = user_partition(published[entry][str(num_parts)], coco.space)
    assert adjusted_rand_score(ours.membership, theirs.membership) == 1.0


def test_our_cuts_are_better_than_the_published_ones_at_five_parts(coco, published):
    weights = affinity(coco, "co", 0.5)
    cgp = partition_labels(coco, "cgp", 5, 0.5)
    dgp = partition_labels(coco, "dgp", 5, 1 / 3)
    theirs = user_partition(published["cooccurrence"]["5"], coco.space)
    assert cut_value(weights, cgp.membership) < cut_value(weights, theirs.membership)
    theirs = user_partition(published["disoccurrence"]["5"], coco.space)
    assert coverage(weights, dgp.membership) < coverage(weights, theirs.membership)
    assert {len(part) for part in dgp.parts} == {16}


@pytest.mark.parametrize(("num_labels", "num_parts"), [(12, 5), (80, 13), (4, 2), (3, 3), (5, 1)])
def test_balanced_sizes_differ_by_one_at_most(num_labels, num_parts):
    sizes = balanced_sizes(num_labels, num_parts)
    assert sum(sizes) == num_labels and len(sizes) == num_parts
    assert max(sizes) - min(sizes) <= 1 and min(sizes) >= 1
    with pytest.raises(PartitionError) as error:
        balanced_sizes(num_labels, num_labels + 1)
    assert error.value.fields["expected"] == num_labels
