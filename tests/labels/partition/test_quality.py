import json
from itertools import permutations

import networkx as nx
import numpy as np
import pytest
from scipy import sparse

from mlic.errors import LabelError
from mlic.labels import LabelSpace
from mlic.labels.graph import affinity
from mlic.labels.options import PartitionOptions
from mlic.labels.partition import user_partition
from mlic.labels.partition.partitioning import partition_labels, random_partition
from mlic.labels.partition.quality import (
    coverage,
    cut_value,
    modularity,
    partition_quality,
    random_coverage,
)
from mlic.labels.statistics import count_labels


@pytest.mark.parametrize("seed", range(4))
def test_modularity_equals_networkx(scenes, seed):
    partition = random_partition(scenes.space, [6, 3, 2, 1], seed)
    weights = affinity(scenes, "co", 0.5)
    oracle = nx.community.modularity(nx.from_numpy_array(weights), map(set, partition.parts))
    assert modularity(weights, partition.membership) == pytest.approx(oracle)


def test_cgp_and_dgp_have_opposite_quality(scenes):
    joined, apart = (
        partition_quality(partition_labels(scenes, s, 3, 0.5), scenes) for s in ("cgp", "dgp")
    )
    assert joined["ncut"] < apart["ncut"] and joined["modularity"] > 0 > apart["modularity"]
    for name in ("coverage_counts", "coverage_graph"):
        assert joined[name] > joined[f"{name}_random"]
        assert apart[name] < apart[f"{name}_random"]


def test_mean_coverage_of_random_parts_is_the_share_of_pairs_inside(scenes):
    figures = partition_quality(random_partition(scenes.space, [6, 6]), scenes)
    assert figures["coverage_graph_random"] == pytest.approx(30 / 66)
    assert figures["coverage_counts_random"] == pytest.approx(30 / 66)
    assert 0 < figures["coverage_graph_random_sd"] < 0.05


def sparsely(size, seed):
    rng = np.random.default_rng(seed)
    weights = np.triu(rng.random((size, size)) * (rng.random((size, size)) < 0.5), 1)
    return weights + weights.T


@pytest.mark.parametrize("sizes", [[2], [1, 1], [2, 1], [1] * 4, [2, 2], [3, 1], [4, 2], [3, 2, 1]])
def test_moments_equal_those_over_all_permutations(sizes):
    weights, membership = sparsely(sum(sizes), len(sizes)), np.repeat(range(len(sizes)), sizes)
    values = [coverage(weights, np.array(order)) for order in permutations(membership)]
    assert random_coverage(weights, sizes) == pytest.approx((np.mean(values), np.std(values)))
    assert random_coverage(sparse.csr_array(weights), sizes) == pytest.approx(
        random_coverage(weights, sizes)
    )


def test_moments_equal_those_of_sampled_partitions():
    weights, sizes = sparsely(60, 0), [30, 20, 9, 1]
    rng, membership = np.random.default_rng(0), np.repeat(range(4), sizes)
    drawn = [coverage(weights, rng.permutation(membership)) for _ in range(2000)]
    mean, deviation = random_coverage(weights, sizes)
    assert np.mean(drawn) == pytest.approx(mean, abs=4 * deviation / 2000**0.5)
    assert np.std(drawn) == pytest.approx(deviation, rel=0.08)


def test_moments_of_counts_whose_squares_overflow_int32():
    counts = np.array([[0, 2, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], dtype=np.int32)
    large = random_coverage(sparse.csr_array(counts * 10**8), [2, 2])
    assert large == pytest.approx(random_coverage(counts, [2, 2]))


def test_quality_of_one_part_and_of_labels_without_co_occurrence(scenes):
    figures = partition_quality(random_partition(scenes.space, [12]), scenes)
    assert figures["ncut"] == 0.0
    assert figures["coverage_counts"] == figures["coverage_graph"] == 1.0
    assert figures["modularity"] == pytest.approx(0.0)
    empty = count_labels(np.eye(4, dtype=np.int8), LabelSpace(tuple("abcd")))
    figures = partition_quality(random_partition(empty.space, [2, 2]), empty)
    assert figures["modularity"] == figures["coverage_counts"] == 0.0


def test_partition_and_statistics_with_other_labels_are_refused(scenes):
    with pytest.raises(LabelError):
        partition_quality(random_partition(LabelSpace(("a", "c")), [1, 1]), scenes)


@pytest.mark.parametrize(("num_parts", "goal"), [(2, 0.4589), (5, 0.1501)])
def test_the_default_dis_occurrence_cut_reaches_the_best_known_figure(coco, num_parts, goal):
    options = PartitionOptions(num_parts=num_parts)
    partition = partition_labels(coco, "dgp", num_parts, options.exponents["dgp"])
    assert partition.exponent == pytest.approx(1 / 3)
    figures = partition_quality(partition, coco)
    assert figures["coverage_graph"] <= goal + 1e-4


@pytest.mark.parametrize(
    ("entry", "num_parts", "ncut", "coverage_counts", "coverage_graph"),
    [
        ("cooccurrence", 5, 3.0296, 0.5828, 0.4949),
        ("cooccurrence", 13, 10.4658, 0.3853, 0.2736),
        ("disoccurrence", 3, 2.122, 0.2948, 0.2936),
    ],
)
def test_published_coco_figures(
    coco, shared, entry, num_parts, ncut, coverage_counts, coverage_graph
):
    published = json.loads((shared / "partitions/coco_published.json").read_text())
    partition = user_partition(published[entry][str(num_parts)], coco.space)
    figures = partition_quality(partition, coco)
    assert figures["ncut"] == pytest.approx(ncut, abs=6e-4)
    assert figures["coverage_counts"] == pytest.approx(coverage_counts, abs=1e-4)
    assert figures["coverage_graph"] == pytest.approx(coverage_graph, abs=1e-4)


def test_cut_value_equals_networkx(scenes):
    weights = affinity(scenes, "co", 0.5)
    graph = nx.from_numpy_array(weights)
    membership = np.arange(12) % 3
    cut = 0.0
    for part in range(3):
        inside = np.flatnonzero(membership == part)
        cut += nx.cut_size(graph, inside, weight="weight") / nx.volume(graph, inside, "weight")
    assert cut_value(weights, membership) == pytest.approx(cut)


def test_coverage_and_cut_without_affinity_are_zero():
    assert coverage(np.zeros((3, 3)), np.array([0, 0, 1])) == 0.0
    assert cut_value(np.zeros((3, 3)), np.zeros(3, dtype=int)) == 0.0
